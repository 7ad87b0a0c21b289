--TEST--
Objects: only of allowed classes, in and out
--FILE--
<?php
require __DIR__ . '/common.inc';
final class Money { public function __construct(public int $cents = 0) {} }
final class Evil { public $x = 1; public function __wakeup() { echo "Evil woke up\n"; } }
enum Suit: string { case Hearts = 'h'; }
$none = test_cache($clock);
$all = $none->namespace('all', ['allowed_classes' => true]);
$some = $none->namespace('some', ['allowed_classes' => ['money', 'Suit']]);
$all->set('m', [new Money(5), 'x' => Suit::Hearts]);
same(serialize($all->get('m')), serialize([new Money(5), 'x' => Suit::Hearts]), 'all');
$some->set('m', ['a' => new Money(7)]);
same($some->get('m')['a']->cents, 7, 'listed');
same(thrown(fn () => $some->set('e', [new Evil])), 'Libcache\Exception -100', 'not listed');
same(thrown(fn () => $none->set('e', new Money)), 'Libcache\Exception -100', 'none');
$all->set('e', [new Evil]);
// The same entries, looked at by who allows less.
$again = $none->namespace('all', ['allowed_classes' => ['Money']]);
same(get_class($again->get('e')[0]), '__PHP_Incomplete_Class', 'listed does not wake it');
$again = $none->namespace('all');
same(get_class($again->get('m')[0]), '__PHP_Incomplete_Class', 'none does not make it');
same($none->namespace('all', ['allowed_classes' => true])->get('e')[0]->x, 1, 'all does');
if (extension_loaded('igbinary')) {
    $ig = $none->namespace('ig', ['allowed_classes' => true, 'serializer' => 'igbinary']);
    $ig->set('m', new Money(9));
    same($ig->get('m')->cents, 9, 'igbinary');
    same($none->namespace('ig')->get('m', 'unreadable'), 'unreadable', 'is not read where objects are not allowed');
    same($none->namespace('ig')->remember('m', fn () => 'anew'), 'anew', 'but loaded anew');
    same($ig->get('m'), 'anew', 'stored');
}
class Reenters { public $v = 1;
    public function __unserialize(array $d): void { $this->v = $d['v'] + array_sum($GLOBALS['all']->get('inner')); }
    public function __serialize(): array { $GLOBALS['all']->set('inner', ['a' => 1, 'b' => 2]); return ['v' => $this->v]; } }
$all->set('r', [new Reenters, new Reenters]);
same($all->get('r')[1]->v, 4, 'the cache may be used while a value is made');
class Throws { public function __unserialize(array $d): void { throw new Exception('no'); }
    public function __serialize(): array { return []; } }
$all->set('t', new Throws);
same($all->get('t', 'd'), 'd', 'a value that cannot be made is a miss');
same($all->lastError(), -100, 'says so');
class ThrowsOut { public function __serialize(): array { throw new DomainException('no', 2); } }
same(thrown(fn () => $all->set('t', new ThrowsOut)), 'DomainException 2', 'serialize throws');
same(thrown(fn () => $all->set('t', [fn () => 1])), 'Exception 0', 'a closure');
echo "done\n";
?>
--EXPECTF--
Evil woke up
done
