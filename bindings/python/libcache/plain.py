"""Values of a declared type as plain ones and back: dataclasses, pydantic models (1 and 2), named tuples, enums, and containers of these.

A dataclass or model is stored as a map of its fields, so that other languages can read it, and made again by its constructor (a model's
with its validation). What does not fit the declared type any more, because the class has changed since, counts as missing.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import types
import typing
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

from ._core import DecodeError, EncodeError

Convert = Callable[[Any], Any]


class Pair(NamedTuple):
    """Both ways; None: nothing to do."""

    to: Convert | None
    back: Convert | None


SAME = Pair(None, None)
PLAIN = (
    type(None), bool, int, float, str, bytes, bytearray, datetime.datetime, datetime.date, datetime.time, datetime.timedelta,
    decimal.Decimal, uuid.UUID, object,
)  # fmt: skip


def plain_hooks(declared: Any) -> dict[str, Any]:
    """The keywords of _core.Namespace that a declared type comes to."""
    pair = pair_of(declared, {})
    hooks = {"to_plain": pair.to, "from_plain": pair.back}
    return {name: hook for name, hook in hooks.items() if hook is not None}


def pair_of(declared: Any, known: dict[Any, Pair]) -> Pair:
    """How values of a type are converted. `known` has the types that are being looked at, for those that hold themselves."""
    if declared is Any or declared is None or declared in PLAIN:
        return SAME
    origin, args = typing.get_origin(declared), typing.get_args(declared)
    if origin is typing.Annotated:
        return pair_of(args[0], known)
    if origin is typing.Union or origin is getattr(types, "UnionType", None):
        return _union(declared, args, known)
    if origin is typing.Literal or isinstance(declared, typing.TypeVar):
        return SAME
    if origin is not None:
        return _container(declared, origin, args, known)
    if isinstance(declared, type):
        return known[declared] if declared in known else _class(declared, known)
    raise TypeError(f"{declared!r} cannot be declared as a namespace's type")


def _class(cls: type, known: dict[Any, Pair]) -> Pair:
    if dataclasses.is_dataclass(cls):
        return _dataclass(cls, known)
    if hasattr(cls, "model_validate") or hasattr(cls, "parse_obj"):
        return _model(cls)
    if issubclass(cls, enum.Enum):
        return Pair(lambda value: simple(value.value), cls)
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return _named_tuple(cls, known)
    if cls in (list, dict, tuple, set, frozenset) or typing.is_typeddict(cls):
        return SAME
    raise TypeError(f"{cls.__name__} cannot be declared as a namespace's type: dataclasses, pydantic models, named tuples and enums can")


def _checked(cls: type, value: Any) -> Any:
    if not isinstance(value, cls):
        raise EncodeError(f"the namespace's type is {cls.__name__}, this value is a {type(value).__name__}")
    return value


def _map(value: Any, cls: type) -> dict[str, Any]:
    if type(value) is not dict:
        raise DecodeError(f"not a value: {cls.__name__} is stored as a map, this is a {type(value).__name__}")
    return value


def _dataclass(cls: type, known: dict[Any, Pair]) -> Pair:
    fields: list[tuple[str, Convert | None, Convert | None]] = []

    def to(value: Any) -> dict[str, Any]:
        _checked(cls, value)
        return {name: f(getattr(value, name)) if f else getattr(value, name) for name, f, _ in fields}

    def back(stored: Any) -> Any:
        stored = _map(stored, cls)
        return cls(**{name: f(stored[name]) if f else stored[name] for name, _, f in fields if name in stored})

    known[cls] = Pair(to, back)
    hints = typing.get_type_hints(cls, include_extras=True)
    fields += [(field.name, *pair_of(hints[field.name], known)) for field in dataclasses.fields(cls) if field.init]
    return known[cls]


def _named_tuple(cls: Any, known: dict[Any, Pair]) -> Pair:
    fields: list[tuple[str, Convert | None, Convert | None]] = []

    def to(value: Any) -> dict[str, Any]:
        _checked(cls, value)
        return {name: f(getattr(value, name)) if f else getattr(value, name) for name, f, _ in fields}

    def back(stored: Any) -> Any:
        stored = _map(stored, cls)
        return cls(**{name: f(stored[name]) if f else stored[name] for name, _, f in fields if name in stored})

    known[cls] = Pair(to, back)
    hints = typing.get_type_hints(cls, include_extras=True)
    fields += [(name, *pair_of(hints.get(name, Any), known)) for name in cls._fields]
    return known[cls]


def _model(cls: Any) -> Pair:
    dump, load = ("model_dump", cls.model_validate) if hasattr(cls, "model_validate") else ("dict", cls.parse_obj)
    return Pair(lambda value: simple(getattr(_checked(cls, value), dump)()), lambda stored: load(_map(stored, cls)))


def _union(declared: Any, args: tuple[Any, ...], known: dict[Any, Pair]) -> Pair:
    pairs = [(arg, pair_of(arg, known)) for arg in args if arg is not type(None)]
    made = [(arg, pair) for arg, pair in pairs if pair != SAME]
    if not made:
        return SAME
    if len(pairs) > 1:
        raise TypeError(f"{declared!r}: which of them a stored value is cannot be told; declare one type, or it and None")
    (_, pair) = made[0]

    def optional(convert: Convert | None) -> Convert | None:
        if convert is None:
            return None
        made = convert
        return lambda value: None if value is None else made(value)

    return Pair(optional(pair.to), optional(pair.back))


def _container(declared: Any, origin: Any, args: tuple[Any, ...], known: dict[Any, Pair]) -> Pair:
    kind = origin if isinstance(origin, type) else None
    if kind in (list, set, frozenset):
        return _each(kind, pair_of(args[0], known))
    if kind is tuple and len(args) == 2 and args[1] is Ellipsis:
        return _each(tuple, pair_of(args[0], known))
    if kind is tuple:
        return _fixed([pair_of(arg, known) for arg in args])
    if kind is dict:
        return _items(pair_of(args[0], known), pair_of(args[1], known))
    raise TypeError(f"{declared!r} cannot be declared as a namespace's type: list, tuple, set, frozenset and dict can, and what is in them")


def _each(kind: Any, item: Pair) -> Pair:
    def over(made: Any, convert: Convert | None) -> Convert | None:
        if convert is None:
            return None
        each = convert
        return lambda values: made([each(value) for value in values])

    # Maps cannot be in a set: one of models is stored as a list.
    return Pair(over(list if kind in (set, frozenset) else kind, item.to), over(kind, item.back))


def _fixed(items: list[Pair]) -> Pair:
    def over(which: int) -> Convert | None:
        converts = [item[which] for item in items]
        if not any(converts):
            return None
        return lambda values: tuple(f(value) if f else value for f, value in zip(converts, values))

    return Pair(over(0), over(1))


def _items(key: Pair, value: Pair) -> Pair:
    def over(f: Convert | None, g: Convert | None) -> Convert | None:
        if not f and not g:
            return None
        return lambda values: {f(k) if f else k: g(v) if g else v for k, v in values.items()}

    return Pair(over(key.to, value.to), over(key.back, value.back))


def simple(value: Any) -> Any:
    """What a model's dump holds, without enums and subclasses of the plain types: its own validation makes them again."""
    kind = type(value)
    if kind is dict:
        return {simple(key): simple(item) for key, item in value.items()}
    if kind in (list, tuple, set, frozenset):
        return kind(simple(item) for item in value)
    if isinstance(value, enum.Enum):
        return simple(value.value)
    if kind in PLAIN:
        return value
    for base in (str, int, float, bytes):
        if isinstance(value, base):
            return base(value)
    return value
