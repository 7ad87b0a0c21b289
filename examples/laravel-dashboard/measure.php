<?php

/**
 * Asks three servers of the dashboard for the same pages and prints how long they took.
 *
 *     php measure.php [--quick] [--json] --none=PORT --redis=PORT --libcache=PORT
 *
 * First it sees to it that they give the same pages, and that a change is seen at once by all workers. Then four clients ask,
 * for pages of all tenants in turn, one store after the other, several times over. Every 50th request creates a project.
 */

const CLIENTS = 4;
const TENANTS = 20;

$options = getopt('', ['quick', 'json', 'none:', 'redis:', 'libcache:']);
$ports = array_intersect_key($options, ['none' => 1, 'redis' => 1, 'libcache' => 1]);

if (count($ports) !== 3) {
    fwrite(STDERR, "usage: measure.php [--quick] [--json] --none=PORT --redis=PORT --libcache=PORT\n");
    exit(2);
}

foreach ($ports as $port) {
    wait_for((int) $port);
}

same_pages($ports);
changes_are_seen_at_once($ports);

$requests = isset($options['quick']) ? 50 : 400; // of each client in each round
$rounds = isset($options['quick']) ? 2 : 5;
$times = array_fill_keys(array_keys($ports), []);

for ($round = 0; $round <= $rounds; $round++) {
    foreach ($ports as $store => $port) {
        $ms = clients((int) $port, $requests, $round);
        if ($round > 0) { // the first round warms up
            array_push($times[$store], ...$ms);
        }
    }
}

report($times, isset($options['json']));

if (! isset($options['json'])) {
    show_headers((int) $ports['libcache']);
}

/** One HTTP connection that is kept. */
class Client
{
    private $socket;

    public function __construct(private int $port)
    {
        $this->socket = stream_socket_client("tcp://127.0.0.1:{$port}", $code, $message, 5);
        stream_set_timeout($this->socket, 30);
    }

    /** @return array{int, array<string, string>, string} status, headers, body */
    public function ask(string $path, ?array $form = null): array
    {
        $body = $form === null ? '' : http_build_query($form);
        $head = ($form === null ? 'GET' : 'POST')." {$path} HTTP/1.1\r\nHost: localhost\r\n";
        if ($form !== null) {
            $head .= "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ".strlen($body)."\r\n";
        }
        fwrite($this->socket, "{$head}\r\n{$body}");

        $status = (int) substr((string) fgets($this->socket), 9, 3);
        $headers = [];
        while (($line = rtrim((string) fgets($this->socket))) !== '') {
            [$name, $value] = explode(': ', $line, 2);
            $headers[strtolower($name)] = $value;
        }

        return [$status, $headers, $this->body($headers)];
    }

    private function body(array $headers): string
    {
        if (isset($headers['content-length'])) {
            return $this->read((int) $headers['content-length']);
        }

        for ($body = ''; $size = hexdec(trim((string) fgets($this->socket))); fgets($this->socket)) {
            $body .= $this->read($size);
        }
        fgets($this->socket);

        return $body;
    }

    private function read(int $size): string
    {
        for ($bytes = ''; strlen($bytes) < $size && ! feof($this->socket);) {
            $bytes .= fread($this->socket, $size - strlen($bytes));
        }

        return $bytes;
    }
}

function wait_for(int $port): void
{
    for ($end = microtime(true) + 20; microtime(true) < $end; usleep(50_000)) {
        if (@fsockopen('127.0.0.1', $port) && (new Client($port))->ask('/tenants/1/dashboard')[0] === 200) {
            return;
        }
    }

    fail("nobody serves the dashboard on port {$port}");
}

function same_pages(array $ports): void
{
    foreach (['/tenants/3/dashboard', '/tenants/4/projects/create'] as $path) {
        $pages = [];
        foreach ($ports as $store => $port) {
            [, , $pages["{$store}, first"]] = (new Client($port))->ask($path);
            [, , $pages["{$store}, again"]] = (new Client($port))->ask($path);
        }
        if (count(array_unique($pages)) !== 1) {
            fail("{$path} is not the same everywhere: ".json_encode(array_map('strlen', $pages)));
        }
    }
}

/** A project is created through one worker; no worker may give an older page from then on. */
function changes_are_seen_at_once(array $ports): void
{
    foreach (['redis', 'libcache'] as $store) {
        for ($i = 0; $i < 20; $i++) {
            $clients = array_map(fn () => new Client($ports[$store]), range(1, 4));
            $clients[0]->ask('/tenants/2/dashboard');
            $name = "Seen {$store} {$i}";
            [$status, , $body] = $clients[$i % 4]->ask('/tenants/2/projects', ['name' => $name]);
            if ($status !== 201) {
                fail("creating a project gave {$status}: {$body}");
            }
            foreach ($clients as $client) {
                $latest = json_decode($client->ask('/tenants/2/dashboard')[2], true)['stats']['latest_projects'][0]['name'];
                if ($latest !== $name) {
                    fail("{$store}: \"{$name}\" has been created, and a worker still gives \"{$latest}\"");
                }
            }
        }
    }
}

/** @return float[][] milliseconds of each page: as the client sees it, and in the application once the framework is up */
function clients(int $port, int $requests, int $round): array
{
    $pipes = [];
    for ($client = 0; $client < CLIENTS; $client++) {
        [$ours, $theirs] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
        $pid = pcntl_fork();
        if ($pid === 0) {
            fwrite($theirs, json_encode(one_client($port, $requests, $client, $round)));
            exit(0);
        }
        fclose($theirs);
        $pipes[$pid] = $ours;
    }

    $times = [];
    foreach ($pipes as $pid => $pipe) {
        $some = json_decode((string) stream_get_contents($pipe), true);
        pcntl_waitpid($pid, $status);
        is_array($some) || fail('a client died');
        array_push($times, ...$some);
    }

    return $times;
}

function one_client(int $port, int $requests, int $me, int $round): array
{
    $client = new Client($port);
    $times = [];

    for ($i = 0; $i < $requests; $i++) {
        $tenant = 1 + ($me * 5 + $i) % TENANTS;
        if ($i % 50 === 49) {
            $client->ask("/tenants/{$tenant}/projects", ['name' => "Made {$port} {$round} {$me} {$i}"]);

            continue;
        }

        $begun = hrtime(true);
        [$status, $headers] = $client->ask($i % 5 === 4 ? "/tenants/{$tenant}/projects/create" : "/tenants/{$tenant}/dashboard");
        $times[] = [(hrtime(true) - $begun) / 1e6, (float) ($headers['x-response-time'] ?? 0)];
        $status === 200 || fail("a page gave {$status}");
    }

    return $times;
}

function report(array $times, bool $json): void
{
    $rows = [];
    foreach ($times as $store => $ms) {
        $whole = array_column($ms, 0);
        $inside = array_column($ms, 1);
        $rows[$store] = [
            'pages' => count($ms),
            'p50_ms' => quantile($whole, 0.5),
            'p95_ms' => quantile($whole, 0.95),
            'app_p50_ms' => quantile($inside, 0.5),
            'app_p95_ms' => quantile($inside, 0.95),
        ];
    }

    if ($json) {
        echo json_encode($rows, JSON_PRETTY_PRINT), "\n";

        return;
    }

    $names = ['none' => 'no cache', 'redis' => "Laravel's redis store", 'libcache' => 'libcache'];
    printf("\n%-24s %8s %12s %10s %16s %10s %10s\n", '', 'pages', 'page: p50 ms', 'p95 ms', 'in the app: p50', 'p95 ms', 'faster');
    foreach ($rows as $store => $row) {
        $faster = $rows['none']['app_p50_ms'] / max(0.1, $row['app_p50_ms']);
        printf("%-24s %8d %12.2f %10.2f %16.1f %10.1f %9.1fx\n", $names[$store], $row['pages'], $row['p50_ms'], $row['p95_ms'],
            $row['app_p50_ms'], $row['app_p95_ms'], $faster);
    }
    echo "\n";
}

function quantile(array $values, float $part): float
{
    sort($values);

    return round($values[(int) ((count($values) - 1) * $part)], 3);
}

/** What the response headers say of a page that everybody has seen. */
function show_headers(int $port): void
{
    [, $headers] = (new Client($port))->ask('/tenants/1/dashboard');
    echo "X-Response-Time: {$headers['x-response-time']}\nServer-Timing: {$headers['server-timing']}\n";
}

function fail(string $message): never
{
    fwrite(STDERR, "{$message}\n");
    exit(1);
}
