--TEST--
PHP code that runs while a value is stored may change what references have: what was given is stored, and nothing else
--FILE--
<?php
require __DIR__ . '/common.inc';

final class Meddles
{
    public function __serialize(): array { ($GLOBALS['meddle'])(); return []; }
    public function __unserialize(array $data): void {}
    public function __toString(): string { ($GLOBALS['meddle'])(); return 'meddles'; }
}
final class Date extends DateTimeImmutable
{
    public function format(string $format): string { ($GLOBALS['meddle'])(); return parent::format($format); }
}
final class Leaves
{
    public function __serialize(): array { return [1]; }
    public function __unserialize(array $data): void { exit("done\n"); }
}

function text(string $letter): string { return str_repeat($letter, 100); }

$c = test_cache($clock, ['ttl' => 100, 'allowed_classes' => true]);
$kept = [];
$meddle = function () use (&$text, &$kept) {
    $text = null;
    for ($i = 0; $i < 50; $i++) {
        $kept[] = text('x'); // where the old text was, perhaps
    }
};

$text = text('a');
same($c->remember('k', function () use ($meddle) { $meddle(); return 1; }, 10, [&$text]), 1, 'remember');
$c->invalidateTags(text('a'));
same($c->has('k'), false, 'has the tag that was given');
$text = text('b');
same($c->set('k', new Meddles, 10, [&$text]), true, 'set');
$c->invalidateTags(text('b'));
same($c->has('k'), false, 'has the tag that was given');
$c->set('k', 1, 10, [text('c')]);
$text = text('c');
same($c->invalidateTags([&$text, new Meddles]), true, 'invalidateTags');
same($c->has('k'), false, 'of the tag that was given');
$text = text('d');
same($c->setMany(['a' => &$text, 'b' => new Meddles]), true, 'setMany');
same($c->get('a'), text('d'), 'what was given');
$text = text('e');
$values = ['e' => &$text, 'f' => new Meddles];
same($c->rememberMany(['e', 'f'], function () use (&$values) { return $values; })['e'], text('e'), 'rememberMany');
same($c->get('e'), text('e'), 'what was given');

$m = $c->namespace('m', ['codec' => 'msgpack']);
$list = [1, new Date('2026-01-02'), 3, 4];
$meddle = function () use (&$list) { $list = array_fill(0, 1000, 'y'); };
same($m->set('k', [&$list]), true, 'msgpack');
same([count($m->get('k')[0]), $m->get('k')[0][3]], [4, 4], 'what was given');

// An array that is in itself twice: there are more ways through it than there is time.
foreach ([$c, $c->namespace('listed', ['allowed_classes' => ['ArrayObject']])] as $space) {
    $a = [new ArrayObject];
    $a[] = &$a;
    $a[] = &$a;
    same(thrown(fn () => $space->set('k', $a)), 'nothing', 'in itself');
}

$c->set('k', new Leaves);
$c->get('k');
echo "exit is no exception\n";
?>
--EXPECT--
done
