"""Declared types, pickle behind its signature, JSON, and codecs of an application."""

import dataclasses
import datetime
import enum
import pickle
import typing
from typing import Any, NamedTuple, Optional

import pytest

from libcache import EncodeError, JsonCodec, PickleCodec


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Address:
    street: str
    since: datetime.date


class Point(NamedTuple):
    x: int
    y: int = 0


@dataclasses.dataclass
class User:
    name: str
    color: Color
    home: Optional[Address] = None
    others: list[Address] = dataclasses.field(default_factory=list)
    places: dict[str, Point] = dataclasses.field(default_factory=dict)
    boss: Optional["User"] = None
    anything: Any = None
    counted: int = dataclasses.field(init=False, default=0)


HOME = Address("Main", datetime.date(2020, 1, 2))
ADA = User("Ada", Color.RED, HOME, [HOME, HOME], {"here": Point(1)}, User("Grace", Color.BLUE), {"x": (1,)})


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        (User, ADA), (Optional[User], None), (Optional[User], ADA), (list[User], [ADA, ADA]),
        (dict[str, list[Point]], {"a": [Point(1, 2)]}),
        (tuple[Point, ...], (Point(1), Point(2))), (tuple[int, Point], (1, Point(2))), (set[Point], {Point(1), Point(2)}),
        (Color, Color.BLUE),
        (typing.Annotated[Point, "x"], Point(3)), (int, 5), (Any, [1]), (Optional[int], 3), (dict[Color, Point], {Color.RED: Point(5)}),
    ],
)  # fmt: skip
def test_values_of_declared_types_come_back_as_them(cache, declared, value):
    ns = cache.namespace("typed", type=declared)
    ns.set("key", value)
    assert ns.get("key") == value
    assert type(ns.get("key")) is type(value)


def test_others_read_a_declared_type_as_a_map(cache):
    cache.namespace("n", type=User).set("key", ADA)
    plain = cache.namespace("n").get("key")
    assert plain["name"] == "Ada"
    assert plain["color"] == "red"
    assert plain["home"] == {"street": "Main", "since": datetime.date(2020, 1, 2)}


def test_pydantic_models(cache):
    pydantic = pytest.importorskip("pydantic")

    class Inner(pydantic.BaseModel):
        at: datetime.datetime
        color: Color = Color.RED

    class Outer(pydantic.BaseModel):
        inner: Inner
        many: list[Inner] = []

    value = Outer(inner=Inner(at=datetime.datetime(2024, 1, 1)), many=[Inner(at=datetime.datetime(2024, 1, 2), color=Color.BLUE)])
    for declared, stored in ((Outer, value), (list[Outer], [value]), (Optional[Outer], None)):
        ns = cache.namespace("models", type=declared)
        ns.set("key", stored)
        assert ns.get("key") == stored
    with pytest.raises(EncodeError, match="type is Outer"):
        cache.namespace("models", type=Outer).set("key", {"inner": 1})


def test_what_no_longer_fits_is_a_miss(cache):
    plain, ns = cache.namespace("n"), cache.namespace("n", type=User)
    for stored in ({"name": "Ada"}, {"name": "Ada", "color": "green"}, [1], "text", None):
        plain.set("key", stored)
        assert ns.get("key", "missing") == "missing"
    plain.set("key", {"name": "Ada", "color": "red", "unknown": 1})
    assert ns.get("key") == User("Ada", Color.RED)
    with pytest.raises(EncodeError, match="type is User, this value is a dict"):
        ns.set("key", {})


@pytest.mark.parametrize("declared", [typing.Union[User, Address], typing.Callable, object(), typing.Iterator[User]])
def test_what_cannot_be_declared_is_said_at_once(cache, declared):
    with pytest.raises(TypeError):
        cache.namespace("n", type=declared)


# ---- pickle

KEY = b"0123456789abcdef"
loaded = []


def go_off():
    loaded.append("unpickled")


class Bomb:
    def __reduce__(self):
        return (go_off, ())


def test_pickle_with_its_signature(cache):
    ns = cache.namespace("p", codec=PickleCodec(KEY))
    value = {"x": Color.RED, "c": 1j}
    ns.set("key", value)
    assert ns.get("key") == value
    data, codec = ns.dumps(value)
    assert (codec, len(data)) == (32, 32 + len(pickle.dumps(value, 5)))
    assert ns.get("key") is not ns.get("key")


class Raw:
    def encode(self, value):
        return value

    def decode(self, data, codec):
        return data, codec


def test_what_was_not_signed_is_never_unpickled(cache):
    raw, ns = cache.namespace("p", codec=Raw()), cache.namespace("p", codec=PickleCodec(KEY))
    data = pickle.dumps(Bomb())
    signed, _ = PickleCodec(b"another key, as long").encode(Bomb())
    good, _ = PickleCodec(KEY).encode([1])
    forged = [b"", data, bytes(32) + data, signed, good[:32] + data, good[:31], good[:32], good[:-1], good + b"x",
              bytes([good[0] ^ 1]) + good[1:]]  # fmt: skip
    for bad in forged:
        raw.set("key", (bad, 32))
        assert ns.get("key", "missing") == "missing"
    assert loaded == []
    assert ns.decode_errors == len(forged)
    raw.set("key", (PickleCodec(KEY).encode(Bomb())[0], 32))
    ns.get("key")
    assert loaded == ["unpickled"], "the bomb would have gone off"
    loaded.clear()


def test_a_weak_key_is_refused():
    with pytest.raises(ValueError, match="16 bytes"):
        PickleCodec(b"short")
    with pytest.raises(TypeError, match="must be bytes"):
        PickleCodec("0123456789abcdef")


# ---- Others


def test_json(cache):
    ns = cache.namespace("j", codec=JsonCodec())
    ns.set("key", {"a": [1, "\xe9", None]})
    assert ns.get("key") == {"a": [1, "\xe9", None]}
    assert ns.dumps({"a": "\xe9"}) == ('{"a":"\xe9"}'.encode(), 4)
    assert cache.namespace("j").get("key") == {"a": [1, "\xe9", None]}, "the typed codec reads JSON"
    with pytest.raises(TypeError):
        ns.set("key", {1})


def test_an_applications_own_codec(cache):
    class Upper:
        def encode(self, value):
            return value.upper().encode(), 200

        def decode(self, data, codec):
            assert codec == 200
            return data.decode().lower()

    ns = cache.namespace("own", codec=Upper())
    ns.set("key", "abc" * 1000)
    assert ns.get("key") == "abc" * 1000
    assert ns.lookup("key").codec == 200
    assert cache.namespace("own").get("key") is None, "the typed codec does not read it"


@pytest.mark.parametrize("given", [b"x", (b"x",), (b"x", 256), (b"x", -1), (b"x", "1"), ("text", 1), None])
def test_a_codec_that_gives_something_else_is_told(cache, given):
    class Wrong:
        def encode(self, value):
            return given

        def decode(self, data, codec):
            return data

    with pytest.raises(TypeError):
        cache.namespace("own", codec=Wrong()).set("key", 1)


def test_exceptions_of_a_codec_are_misses_and_no_more(cache):
    class Failing:
        def encode(self, value):
            return b"x", 200

        def decode(self, data, codec):
            raise KeyboardInterrupt if value == 2 else RuntimeError

    ns = cache.namespace("own", codec=Failing())
    value = 1
    ns.set("key", value)
    assert ns.get("key") is None
    value = 2
    with pytest.raises(KeyboardInterrupt):
        ns.get("key")


