"""The typed codec: what goes in comes out, and hostile bytes do nothing. The formats: docs/values.md."""

import datetime
import math
import os
import pickle
import random
import struct
import uuid
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import libcache
from libcache import DecodeError, EncodeError
from libcache._core import decode, encode, pack, unpack

EXAMPLES = int(os.environ.get("LIBCACHE_TEST_EXAMPLES", 25))
settings.register_profile("libcache", deadline=None, max_examples=EXAMPLES, database=None, suppress_health_check=list(HealthCheck))
settings.load_profile("libcache")

UTC = datetime.timezone.utc
zones = st.one_of(st.none(), st.just(UTC), st.integers(-1439, 1439).map(lambda m: datetime.timezone(datetime.timedelta(minutes=m))))
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-(2**64), 2**64), st.floats(allow_nan=False), st.text(), st.binary(),
    st.datetimes(timezones=zones), st.dates(), st.times(), st.timedeltas(), st.uuids(), st.decimals(allow_nan=False),
)  # fmt: skip
hashable = st.recursive(scalars, lambda inner: st.one_of(st.tuples(inner, inner), st.frozensets(inner, max_size=4)), max_leaves=6)
values = st.recursive(
    st.one_of(hashable, st.sets(hashable, max_size=4)),
    lambda inner: st.one_of(st.lists(inner, max_size=20), st.tuples(inner), st.dictionaries(hashable, inner, max_size=20)),
    max_leaves=20,
)


def same(a, b):
    """Equal, and of the same types all the way down."""
    if type(a) is not type(b) or a != b:
        return False
    if isinstance(a, (list, tuple)):
        return all(same(x, y) for x, y in zip(a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(x, y) for x, y in zip(a.values(), b.values())) and same(list(a), list(b))
    if isinstance(a, datetime.datetime):
        return a.utcoffset() == b.utcoffset()
    return True


@given(values)
def test_what_goes_in_comes_out(value):
    assert same(decode(*encode(value)), value)
    assert same(unpack(pack(value)), value)


def test_edges_of_numbers():
    powers = [2**bits for bits in (0, 5, 7, 8, 15, 16, 31, 32, 63, 64, 1000)]
    edges = {sign * power + delta for power in powers for delta in (-2, -1, 0, 1) for sign in (1, -1)}
    for number in edges:
        assert unpack(pack(number)) == number
        assert decode(*encode(number)) == number
    for number in (math.inf, -math.inf, -0.0, 5e-324):
        assert struct.pack("d", unpack(pack(number))) == struct.pack("d", number)
    assert math.isnan(unpack(pack(math.nan)))
    with pytest.raises(EncodeError):
        pack(10**5000)


def test_edges_of_lengths():
    for size in (0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536):
        for value in ("x" * size, b"x" * size, [None] * size, {i: i for i in range(size)}, (0,) * size):
            assert unpack(pack(value)) == value


def test_codec_bytes():
    assert encode(b"x") == (b"x", 0)
    assert encode("\xe9") == (b"\xc3\xa9", 1)
    assert encode(-12) == (b"-12", 2)
    assert encode(2**63 - 1)[1] == 2
    assert encode(2**63) == (b"\xcf\x80" + bytes(7), 3)
    assert encode(True) == (b"\xc3", 3)
    assert encode(None) == (b"\xc0", 3)
    assert decode(b'{"a": 1}', 4) == {"a": 1}


def test_the_formats_are_those_of_the_other_languages():
    """Bytes as docs/values.md gives them: what they are must not change."""
    assert pack({"a": [1, -1, 1.5]}).hex() == "81a16193" + "01" + "ff" + "cb3ff8000000000000"
    assert pack((1, 2)).hex() == "c70301" + "920102"
    assert pack({5}).hex() == "d502" + "9105"
    assert pack(frozenset()).hex() == "d403" + "90"
    assert pack(datetime.datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)).hex() == "d6ff00000001"
    assert pack(datetime.datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC)).hex() == "d7ff" + (1000 << 34).to_bytes(8, "big").hex()
    assert pack(datetime.datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)).hex() == "c70cff00000000" + "ff" * 8
    assert pack(datetime.datetime(2024, 5, 6)) == b"\xc7\x13\x04" + b"2024-05-06T00:00:00"
    assert pack(datetime.date(2024, 5, 6)) == b"\xc7\x0a\x05" + b"2024-05-06"
    assert pack(datetime.time(1, 2)) == b"\xd7\x06" + b"01:02:00"
    assert pack(Decimal("1.50")) == b"\xd6\x07" + b"1.50"
    assert pack(uuid.UUID(int=1)) == b"\xd8\x08" + bytes(15) + b"\x01"
    assert pack(2**64) == b"\xc7\x14\x09" + b"18446744073709551616"
    assert pack(datetime.timedelta(1, 2, 3)).hex() == "d60b" + "93010203"


def test_msgpack_reads_and_writes_the_same():
    msgpack = pytest.importorskip("msgpack")
    for value in (None, True, -5, 2**63, 1.5, "\xe9" * 300, b"\x00" * 300, [1] * 70000, {"a": {"b": [None]}}, -(2**63)):
        assert msgpack.unpackb(pack(value), raw=False, strict_map_key=False) == value
        assert unpack(msgpack.packb(value, use_bin_type=True)) == value
    assert unpack(msgpack.packb(1.5, use_single_float=True)) == 1.5


class Text(str):
    pass


@pytest.mark.parametrize("value", [object(), Text("x"), 1j, range(3), Exception("x"), lambda: 0, [object()], {"a": {Text("x")}}, ...])
def test_what_would_come_back_as_something_else_is_refused(value):
    with pytest.raises(EncodeError):
        pack(value)


def test_depth_has_a_limit_on_both_sides():
    value = []
    for _ in range(99):
        value = [value]
    assert unpack(pack(value)) == value
    with pytest.raises(EncodeError, match="nested deeper"):
        pack([value])
    endless = []
    endless.append(endless)
    with pytest.raises(EncodeError, match="nested deeper"):
        pack(endless)
    for deep in (b"\x91" * 5000 + b"\xc0", b"\x81" * 5000, b"\xc7\xff\x01" * 500):
        with pytest.raises(DecodeError):
            unpack(deep)
    tuples = ()
    for _ in range(60):
        tuples = (tuples,)
    with pytest.raises(EncodeError, match="nested deeper"):
        for _ in range(60):
            tuples = (tuples,)
        pack(tuples)


def test_what_changes_under_the_encoder_is_no_crash():
    class Evil:
        pass

    values = [1, 2, 3]
    keys = {i: i for i in range(50)}
    assert unpack(pack([values, keys])) == [values, keys]
    with pytest.raises(EncodeError):
        pack([values, Evil()])


# ---- Hostile bytes

CRAFTED = [
    b"", b"\xc1", b"\xdc", b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xffx", b"\xc6\xff\xff\xff\xffx",
    b"\xc9\xff\xff\xff\xff\x01x", b"\xc7\x00", b"\xc7\x00\x7f", b"\xd4\x01\x01", b"\xd4\x01\xc0", b"\xc7\x02\x01\x90\x90", b"\xa1\xff",
    b"\x81\x90\x01", b"\x81\x80\x01", b"\xd5\x02\x91\x90", b"\x82\x01\x01", b"\xc7\x01\x09-", b"\xc7\x02\x091a", b"\xc7\x00\x09",
    b"\xd4\x081", b"\xc7\x03\x07abc", b"\xd6\xfe\x00\x00\x00\x00", b"\xd5\xff\x00\x00", b"\xd7\xff" + b"\xff" * 8,
    b"\xc7\x0c\xff" + b"\x7f" * 12,
    b"\xc7\x0c\xff\x00\x00\x00\x00" + b"\x80" + b"\x00" * 7, b"\xc7\x03\x04abc", b"\xc7\x03\x05abc", b"\xc7\x03\x06\xff\xff\xff",
    b"\xd5\x0b\x91\x01", b"\xc7\x04\x0b\x93\xc0\xc0\xc0", b"\xc7\x0a\x0b\x93\xcf" + b"\xff" * 8, b"\x01\x01", b"\xcb\x00", b"\xcf\x00",
    b"\xc7\xff\x09" + b"1" * 255 + b"x",
]  # fmt: skip


@pytest.mark.parametrize("data", CRAFTED, ids=lambda data: data.hex()[:24])
def test_crafted_bytes_are_an_error(data):
    with pytest.raises(DecodeError):
        unpack(data)


@pytest.mark.parametrize(
    ("data", "codec"),
    [(b"", 2), (b"-", 2), (b"1x", 2), (b"9223372036854775808", 2), (b"-9223372036854775809", 2), (b"99999999999999999999", 2), (b"+1", 2),
     (b"\xff", 1), (b"{", 4), (b"\xff", 4), (b"x", 5), (b"x", 16), (b"x", 32), (b"x", 255)],
)  # fmt: skip
def test_other_codecs_are_checked_too(data, codec):
    with pytest.raises(DecodeError):
        decode(data, codec)
    assert decode(b"-9223372036854775808", 2) == -(2**63)


@given(st.binary(max_size=400))
def test_any_bytes_are_a_value_or_an_error(data):
    for codec in (1, 2, 3, 4):
        try:
            decode(data, codec)
        except DecodeError:
            pass


@given(values, st.randoms(use_true_random=False))
def test_damaged_values_are_a_value_or_an_error(value, rng):
    data = bytearray(pack(value))
    for _ in range(20):
        damaged = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        try:
            unpack(damaged[: rng.randint(0, len(damaged))] if rng.random() < 0.3 else damaged)
        except DecodeError:
            pass


def test_a_claim_takes_no_memory():
    """Nested arrays that each claim as many items as there are bytes."""
    import tracemalloc

    size = 1 << 20
    data = b"".join(b"\xdd" + (size - 1000).to_bytes(4, "big") for _ in range(90)) + bytes(size)
    tracemalloc.start()
    with pytest.raises(DecodeError):
        unpack(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * size


def test_what_cannot_be_decoded_is_a_miss_that_is_counted(cache, caplog):
    raw = cache.namespace("n", codec=Raw())
    ns = cache.namespace("n")
    raw.set("key", (b"\xc1", 3))
    assert ns.get("key", "default") == "default"
    assert ns.lookup("key").result == libcache.MISS
    assert ns.get_many(["key"]) == {}
    assert ns.decode_errors == 3
    assert len([record for record in caplog.records if record.name == "libcache"]) == 1
    assert ns.get_or_load("key", lambda: "loaded") == "loaded"
    assert ns.get("key") == "loaded"


class Raw:
    """Any bytes with any codec byte."""

    def encode(self, value):
        return value

    def decode(self, data, codec):
        return (data, codec)


def test_pickle_is_not_loaded_by_default(cache):
    cache.namespace("n", codec=Raw()).set("key", (pickle.dumps({1}), 32))
    assert cache.namespace("n").get("key") is None


def test_random_bytes_from_elsewhere_do_no_harm(cache):
    raw, ns = cache.namespace("n", codec=Raw()), cache.namespace("n")
    rng = random.Random(4711)
    for _ in range(3000):
        raw.set("key", (rng.randbytes(rng.randrange(60)), rng.randrange(256)))
        ns.get("key")
