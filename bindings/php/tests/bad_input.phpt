--TEST--
Bad input: clear errors that name what was wrong
--FILE--
<?php
require __DIR__ . '/common.inc';
use Libcache\Cache;
$c = test_cache();
$say = function (callable $f) {
    try {
        $f();
        echo "nothing thrown\n";
    } catch (Throwable $e) {
        echo get_class($e), ' ', $e->getCode(), ' ', $e->getMessage(), "\n";
    }
};
$say(fn () => $c->get(''));
$say(fn () => $c->get(str_repeat('k', 5000)));
$say(fn () => $c->get('k', null, 1 << 20));
$say(fn () => $c->get('k', null, 1 << 40));
$say(fn () => $c->set('k', 1, flags: 1 << 40));
$say(fn () => $c->remember('k', fn () => 1, flags: 1 << 40));
$say(fn () => $c->getMany(['a', '']));
$say(fn () => $c->getMany([[]]));
$say(fn () => $c->set('k', 1, 'soon'));
$say(fn () => $c->set('k', 1, 'INF'));
$say(fn () => $c->set('k', 1, 4000 * 86400));
$say(fn () => $c->set('k', 1, NAN));
$say(fn () => $c->set('k', 1, 5, ['']));
$say(fn () => $c->set('k', 1, 5, range(1, 65)));
$say(fn () => $c->set('k', fopen('php://memory', 'r')));
$say(fn () => $c->set('k', [1, [new ArrayObject()]]));
$say(fn () => $c->set('k', fn () => 1));
$a = [1];
$a[] = &$a;
$say(fn () => $c->set('k', $a));
$deep = [];
for ($i = 0; $i < 600; $i++) {
    $deep = [$deep];
}
$say(fn () => $c->set('k', $deep));
$say(fn () => Cache::open(['segmnt' => 'named']));
$say(fn () => Cache::open(['segment' => 'nmaed']));
$say(fn () => Cache::open(['memory' => '64XB']));
$say(fn () => Cache::open(['segment' => 'private', 'memory' => 1]));
$say(fn () => Cache::open(['redis_url' => 'http://x', 'segment' => 'private']));
$say(fn () => Cache::open(['clock' => new stdClass]));
$say(fn () => Cache::open(['segment' => 'named', 'name' => 'a/b']));
$say(fn () => $c->namespace("a\nb"));
$say(fn () => $c->namespace("a\0b"));
$say(fn () => $c->namespace('p', ['tll' => 5]));
$say(fn () => $c->namespace('p', ['ttl' => 'x']));
$say(fn () => $c->namespace('p', ['allowed_classes' => 5]));
$say(fn () => $c->namespace('p', ['allowed_classes' => ['A'], 'serializer' => 'igbinary']));
$say(fn () => $c->namespace('p', ['memo' => 'perhaps']));
$say(fn () => $c->namespace('p', ['tiers' => 'l2']));
same($c->namespace('p', ['memo' => 'off'])->policy()['memo'], false, 'off');
$say(fn () => $c->lock(''));
$say(fn () => $c->lock('l', 0));
$say(fn () => $c->rateHit('r', 5, 0));
$say(fn () => $c->metrics('xml'));
$say(fn () => new Cache());
$say(fn () => clone $c);
$say(fn () => serialize($c));
$say(fn () => $c->remember('k', 'no_such_function'));
$say(fn () => $c->rememberMany(['k'], fn () => 5));
$say(fn () => $c->poll());
same($c->get('k'), null, 'nothing was stored');
?>
--EXPECTF--
Libcache\Exception -3 key: %s
Libcache\Exception -3 key: %s
Libcache\Exception -1 key: %s
Libcache\Exception -1 key: %s
Libcache\Exception -1 set: %s
Libcache\Exception -1 key: %s
Libcache\Exception -3 key: %s

Warning: Array to string conversion in %s on line %d
nothing thrown
Libcache\Exception -1 ttl: not a whole number
Libcache\Exception -1 ttl: not a whole number
Libcache\Exception -1 ttl: more than ten years
Libcache\Exception -1 ttl: not a time
Libcache\Exception -4 set: %s
Libcache\Exception -4 more than 64 tags
Libcache\Exception -100 a resource cannot be stored
Libcache\Exception -100 namespace default does not store objects of class ArrayObject: see allowed_classes
Libcache\Exception -100 namespace default does not store objects of class Closure: see allowed_classes
Libcache\Exception -100 an array that contains itself cannot be stored
Libcache\Exception -100 arrays nested deeper than 512 cannot be stored
Libcache\Exception -1 there is no option segmnt: see Libcache\Cache::open
Libcache\Exception -1 option segment: want shared, named or private
Libcache\Exception -1 option memory: unknown unit
Libcache\Exception -1 %s
Libcache\Exception -1 %s
Libcache\Exception -1 option clock: not a Libcache\Clock
Libcache\Exception -7 %s
Libcache\Exception -7 %s
Libcache\Exception -7 namespace: its name has a zero byte
Libcache\Exception -6 tll: there is no such policy; see Libcache\Cache::namespace
Libcache\Exception -6 ttl: not a whole number
Libcache\Exception -6 allowed_classes: want false, true or a list of class names
Libcache\Exception -6 serializer: igbinary knows no list of allowed classes: say allowed_classes true, or serializer php
Libcache\Exception -6 memo: neither on nor off
Libcache\Exception -16 %s
Libcache\Exception -3 name of a lock: %s
Libcache\Exception -1 ttl of a lock: 0 or less
Libcache\Exception -1 rateHit: a limit less than 0, or a window of 0 or less
Libcache\Exception -1 metrics: format "xml" is neither openmetrics nor json
Error 0 Call to private Libcache\Cache::__construct() from global scope
Error 0 Trying to clone an uncloneable object of class Libcache\Cache
Exception 0 Serialization of 'Libcache\Cache' is not allowed
TypeError 0 Libcache\Cache::remember(): Argument #2 ($loader) must be a valid callback, function "no_such_function" not found or invalid function name
TypeError 0 rememberMany: the loader must return an array by key, int returned
Libcache\Exception -16 poll: %s
