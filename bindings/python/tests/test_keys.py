"""Keys of calls: equal calls have one key, different calls have different keys, in every process."""

import dataclasses
import datetime
import decimal
import enum
import os
import pathlib
import subprocess
import sys
import uuid
from typing import NamedTuple, Optional

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libcache.keys import Template, UncacheableArgument, key_plan, template_text


def plan_of(function, **options):
    return key_plan(function, name=options.pop("name", function.__name__), **options)[0]


def f(a, b=2, *, c=3):
    pass


def test_a_key_reads_as_name_parameters_and_arguments():
    assert plan_of(f).key(1, "x") == b"f(a,b,c)i1,s1:xi3,"


def test_the_same_call_written_differently_has_one_key():
    key = plan_of(f).key
    assert len({key(1), key(1, 2), key(a=1), key(b=2, a=1), key(1, c=3), key(c=3, b=2, a=1)}) == 1


def test_arguments_of_another_type_have_another_key():
    key = plan_of(f).key
    values = [1, 1.0, True, "1", b"1", None, "None", (1,), [1], {1}, {1: 1}, "T", "", b"", (), [], {}, set(), decimal.Decimal(1)]
    assert len({key(value) for value in values}) == len(values)


def test_no_two_lists_of_texts_run_together():
    def g(*args, **kwargs):
        pass

    key = plan_of(g).key
    calls = [
        key("a", "b"), key("ab"), key("a b"), key("a,b"), key("a", "b", ""), key("as1:b"), key(("a", "b")), key(("a",), "b"), key(a="b"),
        key(b="a"),        key("a", b="b"), key({"a": "b"}), key(["a", "b"]), key(),
    ]  # fmt: skip
    assert len(set(calls)) == len(calls)


def test_kwargs_are_keyed_by_name_in_any_order():
    def g(**kwargs):
        pass

    key = plan_of(g).key
    assert key(x=1, y=2) == key(y=2, x=1) != key(x=2, y=1)


def test_positional_only_names_may_come_again_in_kwargs():
    def g(a, /, **kwargs):
        pass

    assert plan_of(g).key(1, a=2) == b"g(a,**kwargs)i1,{s1:ai2,}"


@pytest.mark.parametrize("call", [lambda k: k(), lambda k: k(1, 2, 3), lambda k: k(1, a=1), lambda k: k(1, d=1)])
def test_what_the_function_does_not_take_has_no_key(call):
    with pytest.raises(TypeError):
        call(plan_of(f).key)


def test_numbers_of_any_size_have_keys():
    key = plan_of(f).key
    numbers = [0, -1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64, 10**5000, 10**5000 + 1]
    assert len({key(n) for n in numbers}) == len(numbers)


def test_text_of_any_kind_has_a_key():
    key = plan_of(f).key
    texts = ["", "\0", "é", "e\u0301", "\ud800", "\udc00", "😀", "a" * 799, "a" * 801, "a" * 5000, "a" * 5001]
    assert len({key(t) for t in texts}) == len(texts)


def test_long_arguments_are_digested():
    key = plan_of(f).key("x" * 100_000)
    assert key.startswith(b"f(a,b,c)#48:") and len(key) < 100


class Color(enum.Enum):
    RED = 1
    GREEN = 2


class Level(enum.IntEnum):
    LOW = 1


class Point(NamedTuple):
    x: int
    y: int


@dataclasses.dataclass
class Page:
    number: int
    size: int = 20


class Name(str):
    def __str__(self):
        return "somebody else"


def test_objects_count_by_type_and_content():
    key = plan_of(f).key
    assert key(Color.RED) != key(Color.GREEN) != key(1)
    assert key(Level.LOW) != key(1)
    assert key(Page(1)) == key(Page(1, 20)) != key(Page(2)) != key({"number": 2, "size": 20})
    assert key(Point(1, 2)) == key((1, 2))
    assert key(Name("Ada")) == key("Ada")
    assert key(uuid.UUID(int=1)) != key(uuid.UUID(int=2)) != key(str(uuid.UUID(int=2)))
    assert key(datetime.date(2026, 1, 1)) != key(datetime.datetime(2026, 1, 1)) != key("2026-01-01T00:00:00")
    assert key(decimal.Decimal("1.0")) != key(decimal.Decimal("1.00"))
    assert key(pathlib.PurePosixPath("/a")) != key("/a")
    assert key(int) != key(float)
    assert key(range(3)) != key((0, 3, 1))
    assert key(bytearray(b"x")) == key(b"x") == key(memoryview(b"x"))


def test_pydantic_models_count_by_content():
    pydantic = pytest.importorskip("pydantic")

    class Query(pydantic.BaseModel):
        text: str
        page: int = 1

    key = plan_of(f).key
    assert key(Query(text="a")) == key(Query(text="a", page=1)) != key(Query(text="b"))
    assert key(pydantic.SecretStr("a")) == key(pydantic.SecretStr("a")) != key(pydantic.SecretStr("b"))
    assert b"hunter2" not in key(pydantic.SecretStr("hunter2"))


def test_a_class_says_its_own_key():
    class Tenant:
        def __init__(self, number):
            self.number = number

        def __cache_key__(self):
            return self.number

    key = plan_of(f).key
    assert key(Tenant(1)) == key(Tenant(1)) != key(Tenant(2))


class Thing:
    def __repr__(self):
        return "Thing()"


@pytest.mark.parametrize("value", [Thing(), object(), lambda: 1, (x for x in ()), [Thing()], {"a": Thing()}, {Thing()}, (1, (2, Thing()))])
def test_what_cannot_be_a_key_is_an_error_that_says_which_argument(value):
    with pytest.raises(UncacheableArgument, match=r"f: argument 'b': .*cannot be part of a key.*exclude=\('b',\)"):
        plan_of(f).key(1, value)


def test_a_class_of_a_function_has_no_name_of_its_own():
    class Local:
        pass

    with pytest.raises(UncacheableArgument, match="made inside a function"):
        plan_of(f).key(Local)


def test_a_circle_is_an_error():
    circle = []
    circle.append(circle)
    with pytest.raises(UncacheableArgument, match="nested too deeply"):
        plan_of(f).key(circle)


def test_errors_of_other_kinds_pass():
    class Broken:
        def __cache_key__(self):
            raise KeyError("broken")

    with pytest.raises(KeyError):
        plan_of(f).key(Broken())


# ---- What is left out -----------------------------------------------------------------------------------------------------------------


def test_left_out_by_name_and_by_type():
    def g(user_id, db, thing=None):
        pass

    plan = plan_of(g, exclude=("db", Thing))
    assert plan.key(1, object(), Thing()) == plan.key(1, None, Thing()) == b"g(user_id,thing)i1,-"
    assert plan.key(1, None, None) != plan.key(1, None, Thing())


def test_left_out_by_annotation():
    def g(a, thing: Thing, other: Optional[Thing] = None):
        pass

    def h(a, thing: "Thing", nobody: "Nobody" = None):  # noqa: F821
        pass

    assert plan_of(g, exclude=Thing).key(1, Thing(), None) == plan_of(g, exclude=Thing).key(1) == b"g(a)i1,"
    assert plan_of(h, exclude=Thing).key(1, Thing()) == b"h(a,thing,nobody)i1,-N"


def test_what_is_left_out_need_not_be_given_for_a_key():
    def g(a, db, b=2):
        pass

    key = plan_of(g, exclude="db").key
    assert key(1) == key(1, None) == key(a=1, b=2)
    with pytest.raises(TypeError, match=r"g\(a,b\) does not take these arguments"):
        key(db=1)


def test_leaving_out_what_is_not_there_is_an_error():
    with pytest.raises(ValueError, match="no parameter 'd'"):
        plan_of(f, exclude=["d"])
    with pytest.raises(ValueError, match="no parameter d"):
        plan_of(f, secret=["d"])


def test_requests_and_sessions_are_left_out():
    requests = pytest.importorskip("starlette.requests")
    orm = pytest.importorskip("sqlalchemy.orm")

    class MySession(orm.Session):
        pass

    key = plan_of(f).key
    request = requests.Request({"type": "http", "headers": []})
    assert key(request) == key(orm.Session()) == key(MySession()) == b"f(a,b,c)-i2,i3,"


def test_self_counts_by_its_class_or_its_content():
    class Service:
        def find(self, a):
            pass

    class Other(Service):
        pass

    class Value(tuple):
        def find(self, a):
            pass

    key = plan_of(Service.find).key
    assert key(Service(), 1) == key(Service(), 1) != key(Other(), 1)
    assert key(Page(1), 1) != key(Page(2), 1)
    assert plan_of(Value.find).key(Value([1]), 1) != plan_of(Value.find).key(Value([2]), 1)


def test_a_row_of_a_database_as_self_is_an_error():
    orm = pytest.importorskip("sqlalchemy.orm")
    sqlalchemy = pytest.importorskip("sqlalchemy")
    base = orm.declarative_base()

    class User(base):
        __tablename__ = "users"
        id = sqlalchemy.Column(sqlalchemy.Integer, primary_key=True)

        def find(self):
            pass

    with pytest.raises(UncacheableArgument, match="row of a database"):
        plan_of(User.find).key(User())


def test_secrets_are_in_the_key_as_a_digest():
    def g(token, *args):
        pass

    plan = plan_of(g, secret="token")
    assert b"hunter2" not in plan.key("hunter2")
    assert plan.key("a") == plan.key("a") != plan.key("b") != plan.key(b"b")


# ---- Templates -----------------------------------------------------------------------------------------------------------------------


def test_a_template_is_the_whole_key():
    def g(user_id, full=False):
        pass

    assert plan_of(g, key="user:{user_id}").key(42) == plan_of(g, key="user:{user_id}").key(user_id=42, full=True) == b"user:42"
    assert plan_of(g, key="{user_id}").key("é") == "é".encode()


def test_fields_of_a_template_do_not_run_together():
    def g(a, b):
        pass

    key = plan_of(g, key="{a}:{b}").key
    assert key("x:y", "z") != key("x", "y:z")
    assert key("x", "y") == b"x:y"
    with pytest.raises(ValueError, match="put ':' or '/' between"):
        plan_of(g, key="{a}-{b}")
    with pytest.raises(ValueError, match="put ':' or '/' between"):
        plan_of(g, key="{a}{b}")


def test_templates_reach_into_arguments():
    def g(page):
        pass

    assert plan_of(g, key="page:{page.number}:{page.size}").key(Page(3)) == b"page:3:20"
    assert plan_of(g, key="{page[number]}").key({"number": 3}) == b"3"


@pytest.mark.parametrize("template", ["{d}", "{a!r}", "{a:>3}", "", "{}"])
def test_bad_templates_are_refused(template):
    with pytest.raises(ValueError):
        plan_of(f, key=template)


def test_what_has_no_text_is_no_part_of_a_template():
    with pytest.raises(UncacheableArgument, match="argument 'a'.*no text"):
        plan_of(f, key="{a}").key(Thing())
    with pytest.raises(UncacheableArgument, match="no text"):
        Template.parse("{a}", ["a"], separated=False).render({"a": [1]})


def test_a_function_makes_keys():
    plan = plan_of(f, key=lambda a, b=2, *, c=3: f"k{a}")
    assert plan.key(1) == b"k1"
    plan = plan_of(f, key=lambda a, b=2, *, c=3: (a, b))
    assert plan.key(1) == b"f(a,b,c)(i1,i2,)"
    with pytest.raises(TypeError, match="must be a template"):
        plan_of(f, key=42)


# ---- For all values ------------------------------------------------------------------------------------------------------------------

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary(), st.decimals(allow_nan=False), st.uuids(),
    st.dates(),    st.datetimes(), st.timedeltas(),
)  # fmt: skip
hashables = st.recursive(scalars, lambda inner: st.one_of(st.tuples(inner, inner), st.frozensets(inner, max_size=3)), max_leaves=5)
values = st.recursive(
    hashables,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(hashables, inner, max_size=4), st.tuples(inner, inner)),
    max_leaves=10,
)


def same(x, y):
    """Equality that tells types apart, in depth."""
    if isinstance(x, (set, frozenset)) and isinstance(y, (set, frozenset)):
        return len(x) == len(y) and all(any(same(a, b) for b in y) for a in x)
    if type(x) is not type(y):
        return False
    if isinstance(x, (list, tuple)):
        return len(x) == len(y) and all(map(same, x, y))
    if isinstance(x, dict):
        return len(x) == len(y) and all(any(same(a, b) and same(x[a], y[b]) for b in y) for a in x)
    return str(x) == str(y) if isinstance(x, (float, decimal.Decimal)) else x == y


def star(*args, **kwargs):
    pass


star_key = plan_of(star).key


@settings(max_examples=150, deadline=None)
@given(st.lists(values, max_size=3), st.lists(values, max_size=3))
def test_calls_have_one_key_if_and_only_if_they_are_the_same(x, y):
    assert (star_key(*x) == star_key(*y)) == same(x, y)


def shuffled(value, draw):
    """Equal to value, but made anew and filled in another order."""
    if isinstance(value, dict):
        items = draw(st.permutations(list(value.items())))
        return {shuffled(k, draw): shuffled(v, draw) for k, v in items}
    if isinstance(value, (list, tuple)):
        return type(value)(shuffled(v, draw) for v in value)
    if isinstance(value, frozenset):
        return frozenset(draw(st.permutations(list(value))))
    return value


@settings(max_examples=80, deadline=None)
@given(values, st.data())
def test_the_order_of_filling_does_not_matter(value, data):
    assert star_key(value) == star_key(shuffled(value, data.draw))


@settings(max_examples=80, deadline=None)
@given(st.text(), st.text(), st.text(), st.text())
def test_templates_of_texts_are_unambiguous(a, b, c, d):
    template = Template.parse("{a}:{b}", ["a", "b"], separated=True)
    assert (template.render({"a": a, "b": b}) == template.render({"a": c, "b": d})) == ((a, b) == (c, d))
    assert template_text(a) == a


PRINT_KEYS = """
import datetime, decimal, enum, uuid
from libcache.keys import key_plan
class Color(enum.Enum):
    RED = "red"
def f(*args, **kwargs): pass
key = key_plan(f, name="app.f")[0].key
print(key(1, -5, 2**70, 1.1, 1e300, "é", b"\\xff", None, True, {"b", "a", "c", "d"}, {"z": 1, "a": [1, (2,)]}, Color.RED, uuid.UUID(int=5),
          datetime.datetime(2026, 1, 2, 3, 4, 5, 6), decimal.Decimal("1.50"), key={"x": frozenset(["q", "w", "e"])}).hex())
"""


def test_keys_are_the_same_in_every_process():
    """And in every release: the text below is part of the format, for entries outlive the program that stored them."""
    found = set()
    for seed in ("0", "1", "12345"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", PRINT_KEYS]
        printed = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
        found.add(bytes.fromhex(printed))
    assert found == {
        b"app.f(*args,**kwargs)(i1,i-5,I0x400000000000000000,f1.1,f1e+300,s2:\xc3\xa9b1:\xffNT<s1:as1:bs1:cs1:d>"
        b"{s1:a[i1,(i2,)]s1:zi1,}o14:__main__.Colors3:redo4:UUIDs32:00000000000000000000000000000005"
        b"o8:datetimes26:2026-01-02T03:04:05.000006o7:Decimals4:1.50){s3:key{s1:x<s1:es1:qs1:w>}}"
    }
