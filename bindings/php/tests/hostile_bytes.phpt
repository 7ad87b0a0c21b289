--TEST--
Bytes in Redis that somebody else wrote: values that cannot be read are misses, nothing crashes, no object is made
--FILE--
<?php
require __DIR__ . '/common.inc';
require __DIR__ . '/redis.inc';
use Libcache\Cache;

final class Evil { public function __wakeup() { echo "Evil woke up\n"; } public function __destruct() { echo "Evil ended\n"; } }

$redis = new PrivateRedis();
$cache = Cache::open(['segment' => 'private', 'memory' => '4MiB', 'redis_url' => $redis->url(), 'redis_timeout' => '5s', 'max_staleness' => '60s']);
$c = $cache->namespace('n', ['ttl' => 3600]);
$c->set('k', ['x' => 'y']);
$keys = array_values(array_filter($redis->command('KEYS', '*'), fn ($k) => str_ends_with($k, 'k')));
same(count($keys), 1, 'the entry is there');
$envelope = $redis->command('GET', $keys[0]);
$mark = strlen($envelope) - unpack('V', $envelope, 76)[1];

/** The entry of key "k", with another codec and other bytes, as whoever may write to Redis can make it. */
$forge = function (int $codec, string $bytes) use ($redis, $keys, $envelope, $mark) {
    $client = substr($envelope, 48, $mark - 48);
    $client[1] = chr($codec);
    $client = substr_replace($client, pack('VV', strlen($bytes), strlen($bytes)), 24, 8) . $bytes;
    $redis->command('SET', $keys[0], substr($envelope, 0, 40) . strrev(hash('xxh3', $client, true)) . $client, 'EX', '3600');
};
$read = fn () => $c->get('k', 'unreadable', Cache::SKIP_L1 | Cache::READ_ONLY);

$forge(16, "\x01\x02");
same($read(), true, 'what is forged well is believed: only the bytes are judged');
$shape = fn (array $keys, int $hint = 5) => "\x0c" . pack('V', $hint) . (function ($t) { return pack('v', strlen($t)) . $t; })
    (chr(count($keys)) . implode('', array_map(fn ($k) => chr(strlen($k)), $keys)) . implode('', $keys));
$good = "\x01" . $shape(['a', 'b']) . "\x03\x05\x00";
$forge(16, $good);
same($read(), ['a' => 5, 'b' => null], 'a row');
$bad = [
    'empty' => '', 'version' => "\x02\x00", 'nothing' => "\x01", 'unknown' => "\x01\xff", 'more behind it' => "\x01\x00\x00",
    'int8' => "\x01\x03", 'int32' => "\x01\x04abc", 'int64' => "\x01\x05abc", 'double' => "\x01\x06abcdefg", 'str8' => "\x01\x07",
    'str8 short' => "\x01\x07\x05abcd", 'str32' => "\x01\x08\x05\x00", 'str32 huge' => "\x01\x08\xff\xff\xff\xffabc",
    'list' => "\x01\x0a\x05", 'list huge' => "\x01\x0a\xff\xff\xff\xff\x00", 'list short' => "\x01\x0a\x03\x00\x00\x00\x00\x00",
    'list of none' => "\x01\x0a\x00\x00\x00\x00", 'list of lists' => "\x01" . str_repeat("\x0a\x01\x00\x00\x00", 600) . "\x00",
    'map huge' => "\x01\x0b\xff\xff\xff\xff", 'map of none' => "\x01\x0b\x00\x00\x00\x00",
    'map key twice' => "\x01\x0b\x02\x00\x00\x00\x01\x00\x00\x00a\x00\x01\x00\x00\x00a\x00",
    'map number twice' => "\x01\x0b\x02\x00\x00\x00\xff\xff\xff\xffaaaaaaaa\x00\xff\xff\xff\xffaaaaaaaa\x00",
    'map numeric key' => "\x01\x0b\x01\x00\x00\x00\x01\x00\x00\x007\x00", 'map key short' => "\x01\x0b\x01\x00\x00\x00\x09\x00\x00\x00a\x00",
    'row of no shape' => "\x01\x0d\x00\x00", 'same without a row' => "\x01\x0e", 'same in the first row' => "\x01" . $shape(['a']) . "\x0e",
    'shape key twice' => "\x01" . $shape(['a', 'a']) . "\x00\x00", 'shape numeric key' => "\x01" . $shape(['12', 'a']) . "\x00\x00",
    'shape of none' => "\x01" . $shape([]), 'shape too large' => "\x01" . $shape(array_map(fn ($i) => "k$i", range(1, 65))) . str_repeat("\x00", 65),
    'shape short' => substr($good, 0, 8), 'shape sizes' => "\x01\x0c\x05\x00\x00\x00\x03\x00\x02\x01\x09ab\x00\x00", 'row short' => substr($good, 0, -1),
    'same hint, other keys' => "\x01" . $shape(['a', 'a']) . "\x03\x05\x00",
    'same of nested arrays' => "\x01\x0a\x02\x00\x00\x00" . $shape(['a', 'b']) . "\x0a\x01\x00\x00\x00\x0a\x01\x00\x00\x00\x00\x00\x0d\x00\x0e\x00",
    'same of an int' => "\x01\x0a\x02\x00\x00\x00" . $shape(['a', 'b']) . "\x03\x01\x00\x0d\x00\x0e\x00",
    'same too far back' => "\x01\x0a\x02\x00\x00\x00" . $shape(['a', 'b']) . "\x07\x02aa\x00\x0d\x00\x0f\x00",
    'beyond same' => "\x01\x0a\x02\x00\x00\x00" . $shape(['a', 'b']) . "\x07\x02aa\x00\x0d\x00\x12\x00",
    'same in itself' => "\x01" . $shape(['a', 'b']) . "\x0d\x00\x0e\x0e\x00",
    // each would have room for its items, but they cannot all have the same bytes: nobody makes 500 large arrays of a few bytes
    'lists of large lists' => "\x01" . str_repeat("\x0a" . pack('V', 20000), 500) . str_repeat("\x00", 20000),
    'maps of large maps' => "\x01" . str_repeat("\x0b" . pack('VV', 4000, 1) . 'a', 500) . str_repeat("\x00", 20000),
];
foreach ($bad as $name => $bytes) {
    for ($i = 0; $i < 3; $i++) {
        $forge(16, $bytes);
        same($read(), 'unreadable', $name);
    }
    $forge(16, $good);
    same($read(), ['a' => 5, 'b' => null], "after $name");
}
foreach (["\xc1", "\x92\x01", "\xdd\xff\xff\xff\xff", "\xdf\xff\xff\xff\xff", "\x81\xc0\x01", "\x82\xa1a\x01\xa1a\x02", "\x82\xa17\x01\x07\x02", "\xd9", "\xd9\x05a",
    "\xc6\xff\xff\xff\xff", str_repeat("\x91", 600) . "\x01", "\x01\x01", "\xd6\x04tomo", "\xc7\x08\x04tomorrow", "\xd7\xffaaaaaaa", "\xd4\x08a", "\xd4\x63a",
    str_repeat("\xdd" . pack('N', 20000), 500) . str_repeat("\xc0", 20000), str_repeat("\xdf" . pack('N', 10000) . "\x01", 500) . str_repeat("\xc0", 20000),
    "\xc7\x0a\x042026-13-45", "\xc7\x01\x01\x05", "\xd4\x0b\xc0", "\xcb\x00", "\xcd\x01", ''] as $i => $bytes) {
    $forge(3, $bytes);
    same($read(), 'unreadable', "msgpack $i " . bin2hex(substr($bytes, 0, 20)));
}
foreach (["\xc7\x06\x01\x93\x01\x02\xa1a\xc0" => [1, 2, 'a', null], "\xc7\x02\x02\x91\x05" => [5], "\xc7\x03\x071.5" => '1.5', "\xd8\x08" . str_repeat("\x12", 16) => '12121212-1212-1212-1212-121212121212',
    "\xc7\x04\x0b\x93\x01\x02\x03" => 86402.000003, "\xcf\xff\xff\xff\xff\xff\xff\xff\xff" => '18446744073709551615', "\xca\x3f\x80\x00\x00" => 1.0] as $bytes => $value) {
    $forge(3, (string)$bytes);
    same($read(), is_array($value) && count($value) === 4 ? 'unreadable' : $value, 'extension ' . bin2hex((string)$bytes));
}
foreach (["\xd6\xff\x00\x00\x00\x05" => 5.0, "\xd7\xff" . pack('J', (500000000 << 34) | 7) => 7.5, "\xc7\x0c\xff" . pack('NJ', 250000000, -3) => -2.75, "\xc7\x0c\xff" . pack('NJ', 250000000, -1) => -0.75] as $bytes => $value) {
    $forge(3, $bytes);
    $d = $read();
    same($d instanceof DateTimeImmutable ? (float)$d->format('U.u') + 0.0 === $value || (int)$d->format('U') + (int)$d->format('u') / 1e6 === $value : $d, true, "timestamp $value");
}
foreach (['O:4:"Evil":0:{}', 'a:1:{i:0;O:4:"Evil":0:{}}'] as $text) {
    $forge(17, $text);
    $v = $read();
    same(serialize($v) === $text && !str_contains(print_r($v, true), 'Evil Object'), true, 'no object of a class is made');
}
foreach (['O:4:"Evil', 'x', 'b:0;', '', str_repeat('a:1:{i:0;', 5000)] as $text) {
    $forge(17, $text);
    same($read(), 'unreadable', "serialized $text");
}
$forge(18, "\x00\x00\x00\x02\x17\x04Evil\x14\x00");
same($read(), 'unreadable', 'igbinary is not read without allowed_classes');
$forge(4, '{"a":[1,2.5,null],"a":3}');
same($read(), ['a' => 3], 'JSON');
foreach (['{', '', str_repeat('[', 600), "\"\xff\""] as $text) {
    $forge(4, $text);
    same($read(), 'unreadable', 'bad JSON');
}
foreach (['', '-', '12x', '99999999999999999999', ' 5', '5 ', '0x10', '1e3', '-9223372036854775809'] as $text) {
    $forge(2, $text);
    same($read(), 'unreadable', "integer '$text'");
}
$forge(2, '-9223372036854775808');
same($read(), PHP_INT_MIN, 'the least integer');
foreach ([32, 128, 255] as $codec) {
    $forge($codec, 'abc');
    same($read(), 'unreadable', "codec $codec");
}
$forge(32, 'a pickle');
$c = Cache::open(['segment' => 'private', 'memory' => '5MiB', 'redis_url' => $redis->url(), 'redis_timeout' => '5s', 'max_staleness' => '60s'])->namespace('n', ['ttl' => 3600]); // whose L1 is empty
same($c->remember('k', fn () => 'loaded'), 'loaded', 'what cannot be read is loaded');
same($c->get('k'), 'loaded', 'and stored');

// At random: whatever comes out, it must be a value that PHP can walk through and copy.
mt_srand(20261121);
$rows = array_map(fn ($i) => ['id' => $i, 'name' => "n$i", 'on' => true, 'l' => [1, 'aa'], 'm' => ['p' => 1.5, 'q' => 'same']], range(1, 5));
$m = $cache->namespace('m', ['codec' => 'msgpack']);
$seeds = [];
foreach ([[$c, 16], [$m, 3]] as [$space, $codec]) {
    foreach ([$rows, ['a' => [1 => 'x', 5 => ['y']]], range(0, 300, 7)] as $v) {
        $space->set('seed', $v);
        $all = array_values(array_filter($redis->command('KEYS', '*'), fn ($k) => str_ends_with($k, 'seed')));
        $raw = '';
        foreach ($all as $k) {
            $e = $redis->command('GET', $k);
            if (ord($e[49]) === $codec) {
                $raw = substr($e, strlen($e) - unpack('V', $e, 76)[1]);
            }
        }
        $seeds[] = [$codec, $raw];
    }
}
$readable = 0;
for ($i = 0, $n = (int)(getenv('USE_ZEND_ALLOC') === '0' ? 400 : 4000); $i < $n; $i++) {
    [$codec, $bytes] = $seeds[$i % count($seeds)];
    for ($j = mt_rand(1, 4); $j > 0; $j--) {
        $at = mt_rand(0, strlen($bytes) - 1);
        switch (mt_rand(0, 3)) {
            case 0: $bytes[$at] = chr(mt_rand(0, 255)); break;
            case 1: $bytes[$at] = chr(ord($bytes[$at]) ^ 1 << mt_rand(0, 7)); break;
            case 2: $bytes = substr($bytes, 0, $at + 1); break;
            case 3: $bytes = substr($bytes, 0, $at) . substr($bytes, mt_rand(0, strlen($bytes) - 1), 20) . substr($bytes, $at); break;
        }
    }
    $forge($codec, $bytes);
    $v = $read();
    if ($v !== 'unreadable') {
        $readable++;
        $copy = unserialize(serialize($v));
        check(serialize($copy) === serialize($v), "round $i: not a sound value");
    }
}
check($readable > $n / 20 && $readable < $n * 0.95, "of $n values at random $readable could be read: the test does not test much");
echo "done\n";
?>
--EXPECT--
done
