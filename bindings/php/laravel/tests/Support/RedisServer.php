<?php

namespace Libcache\Laravel\Tests\Support;

use RuntimeException;

/** A private redis-server on a unix socket (and, asked for, on a loopback port), stopped by its own pid. */
class RedisServer
{
    private const PATIENCE_SECONDS = 10;

    /** Should the tests be killed, it ends by itself. */
    private const LONGEST_LIFE_SECONDS = 900;

    private string $folder;

    /** @var resource|null */
    private $process = null;

    public function __construct(private int $port = 0)
    {
        $this->folder = sys_get_temp_dir().'/libcache-laravel-'.bin2hex(random_bytes(6));
        mkdir($this->folder, 0700);
        $this->start();
    }

    public static function available(): bool
    {
        return trim((string) shell_exec('command -v redis-server')) !== '';
    }

    public function socket(): string
    {
        return "{$this->folder}/redis.sock";
    }

    public function url(): string
    {
        return 'unix://'.$this->socket();
    }

    public function port(): int
    {
        return $this->port;
    }

    public function start(): void
    {
        $this->process = proc_open(
            ['timeout', self::LONGEST_LIFE_SECONDS, 'redis-server', '--port', $this->port, '--bind', '127.0.0.1',
                '--unixsocket', $this->socket(), '--save', '', '--appendonly', 'no', '--dir', $this->folder],
            [['file', '/dev/null', 'r'], ['file', "{$this->folder}/log", 'a'], ['file', "{$this->folder}/log", 'a']],
            $pipes,
        );

        for ($end = microtime(true) + self::PATIENCE_SECONDS; microtime(true) < $end; usleep(5000)) {
            if ($this->send('PING') === '+PONG') {
                return;
            }
        }

        throw new RuntimeException('redis-server does not answer: '.file_get_contents("{$this->folder}/log"));
    }

    /** Says a command and gives the first line of the answer; null: nobody there. */
    public function send(string $command): ?string
    {
        $socket = @stream_socket_client('unix://'.$this->socket(), $code, $message, 1);

        if (! $socket) {
            return null;
        }

        fwrite($socket, $command."\r\n");
        $line = fgets($socket);
        fclose($socket);

        return $line === false ? null : rtrim($line);
    }

    public function stop(): void
    {
        if ($this->process) {
            proc_terminate($this->process); // timeout passes it on
            proc_close($this->process);
            $this->process = null;
        }
    }

    public function __destruct()
    {
        $this->stop();

        foreach (glob("{$this->folder}/*") as $file) {
            unlink($file);
        }

        rmdir($this->folder);
    }
}
