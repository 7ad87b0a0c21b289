<?php
/**
 * The PHP half of interop.py: one request of JSON a line, one answer a line.                    SPDX-License-Identifier: MIT
 *
 * Values cross as PHP source (var_export): JSON would lose what is to be looked at.
 */

$cache = Libcache\Cache::open(json_decode($argv[1], true));
$ns = $cache->namespace('shared', ['codec' => 'msgpack', 'ttl' => 600]);
$counters = $cache->namespace('counters', ['codec' => 'msgpack', 'ttl' => 600]);

function show(mixed $value): string
{
    if ($value instanceof DateTimeImmutable) {
        return $value->format('Y-m-d\TH:i:s.uP');
    }
    return var_export($value, true);
}

while (($line = fgets(STDIN)) !== false) {
    $request = json_decode($line, true);
    try {
        $answer = match ($request['do']) {
            'set' => $ns->set($request['key'], eval("return {$request['value']};"), null, $request['tags'] ?? []),
            'get' => show($ns->get($request['key'], 'nothing')),
            'delete' => $ns->delete($request['key']),
            'increment' => $counters->increment($request['key'], $request['by']),
            'counter' => $counters->get($request['key']),
            'invalidate' => $cache->invalidateTags($request['tags']),
            'poll' => $cache->poll(),
            'lock' => $cache->lock($request['key'], 60)->take(),
            'remember' => $ns->remember($request['key'], fn () => ['by' => 'php']),
        };
    } catch (Throwable $e) {
        $answer = get_class($e) . ': ' . $e->getMessage();
    }
    echo json_encode($answer), "\n";
}
