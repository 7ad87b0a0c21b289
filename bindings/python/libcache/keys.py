"""How the arguments of a call become a key that is the same in every process, and different for different arguments.

A key of a decorated function reads `app.users.profile(user_id,full)i42,T`: the function's name, the parameters that count, and each
argument with its type. The bytes are written by the C module (`_core.KeyPlan`); this file reads signatures and says what stands for
objects that are no builtin type. What cannot be a key is an error, never a guess: no `repr`, `id` or `hash` of anything is used.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import hashlib
import inspect
import ipaddress
import operator
import pathlib
import re
import string
import types
import typing
import urllib.parse
import uuid
from collections.abc import Callable, Iterable
from typing import Any, Optional, Union

from . import _core

__all__ = ["KeySource", "UncacheableArgument", "dotted_name", "exclude_type", "key_plan", "template_text"]

Rule = Optional[tuple[str, Optional[Callable[[Any], Any]]]]
KeySource = Union[str, Callable[..., Any], None]

# A request or a session among a call's arguments is gone when the caller is: then nothing can be done behind. args, kwargs -> bool
MustWait = Callable[[tuple[Any, ...], dict[str, Any]], bool]


class UncacheableArgument(TypeError):
    """An argument cannot be part of a key. Leave it out (`exclude=`), give `key=`, or give its class a `__cache_key__` method."""


def dotted_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


# Arguments of these types (and of their subclasses) say how a function does its work, not what about: they are left out of keys.
# By name, so that nothing is imported.
_EXCLUDED = {
    "starlette.requests.HTTPConnection",
    "starlette.responses.Response",
    "starlette.background.BackgroundTask",
    "starlette.datastructures.State",
    "sqlalchemy.orm.session.Session",
    "sqlalchemy.orm.session.sessionmaker",
    "sqlalchemy.orm.scoping.scoped_session",
    "sqlalchemy.ext.asyncio.session.AsyncSession",
    "sqlalchemy.ext.asyncio.session.async_sessionmaker",
    "sqlalchemy.ext.asyncio.scoping.async_scoped_session",
    "sqlalchemy.engine.base.Engine",
    "sqlalchemy.engine.base.Connection",
    "sqlalchemy.ext.asyncio.engine.AsyncEngine",
    "sqlalchemy.ext.asyncio.engine.AsyncConnection",
    "sqlite3.Connection",
    "sqlite3.Cursor",
    "psycopg.Connection",
    "psycopg.AsyncConnection",
    "psycopg2.extensions.connection",
    "asyncpg.connection.Connection",
    "asyncpg.pool.Pool",
    "redis.client.Redis",
    "redis.asyncio.client.Redis",
    "httpx.Client",
    "httpx.AsyncClient",
    "requests.sessions.Session",
    "aiohttp.client.ClientSession",
    "asyncio.events.AbstractEventLoop",
    "logging.Logger",
    "logging.LoggerAdapter",
    "libcache.Cache",
    "libcache.Namespace",
    "libcache.AsyncNamespace",
    "libcache._core.Cache",
    "libcache._core.Namespace",
    "libcache._core.AsyncNamespace",
}


def exclude_type(cls: type | str) -> None:
    """From now on, arguments of this type (or of this dotted name) are left out of the keys of all decorated functions."""
    _EXCLUDED.add(cls if isinstance(cls, str) else dotted_name(cls))
    _KNOWN.clear()
    _KNOWN_SELF.clear()


def digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=24).hexdigest().encode("ascii")


# ---- What stands for an object -----------------------------------------------------------------------------------------------------

_FIXED: dict[type, Rule] = {
    datetime.datetime: ("datetime", lambda o: o.isoformat()),
    datetime.date: ("date", lambda o: o.isoformat()),
    datetime.time: ("time", lambda o: o.isoformat()),
    datetime.timedelta: ("timedelta", lambda o: (o.days, o.seconds, o.microseconds)),
    decimal.Decimal: ("Decimal", str),
    fractions.Fraction: ("Fraction", lambda o: (o.numerator, o.denominator)),
    uuid.UUID: ("UUID", lambda o: o.hex),
    complex: ("complex", lambda o: (o.real, o.imag)),
    range: ("range", lambda o: (o.start, o.stop, o.step)),
    re.Pattern: ("Pattern", lambda o: (o.pattern, o.flags)),
    types.MappingProxyType: ("", dict),
    collections.deque: ("deque", list),
    ipaddress.IPv4Address: ("IPv4Address", str),
    ipaddress.IPv6Address: ("IPv6Address", str),
    ipaddress.IPv4Network: ("IPv4Network", str),
    ipaddress.IPv6Network: ("IPv6Network", str),
    datetime.timezone: ("timezone", lambda o: (o.utcoffset(None), o.tzname(None))),
    type(Ellipsis): ("Ellipsis", None),
}

# A subclass of these counts as its base: the content is read without methods that the subclass may have replaced.
_PLAIN: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (int, int.__pos__),
    (float, float.__pos__),
    (str, str.__str__),
    (bytes, lambda o: bytes(memoryview(o))),
    (tuple, lambda o: tuple(tuple.__iter__(o))),
    (list, lambda o: list(list.__iter__(o))),
    (dict, lambda o: dict(dict.items(o))),
    (set, lambda o: set(set.__iter__(o))),
    (frozenset, lambda o: set(frozenset.__iter__(o))),
)


def _class_text(cls: type) -> str:
    if "<locals>" in cls.__qualname__:
        raise UncacheableArgument(f"the class {dotted_name(cls)} is made inside a function: its name does not say which one it is")
    return dotted_name(cls)


def _fields_of(cls: type) -> Callable[[Any], Any] | None:
    """How to read the fields of a class that is made of fields, or None."""
    if dataclasses.is_dataclass(cls):
        names = tuple(f.name for f in dataclasses.fields(cls))
    elif "__attrs_attrs__" in vars(cls):
        names = tuple(a.name for a in vars(cls)["__attrs_attrs__"])
    elif isinstance(getattr(cls, "__struct_fields__", None), tuple):  # msgspec
        names = cls.__struct_fields__  # type: ignore[attr-defined]
    elif _inherits(cls, "pydantic.main.BaseModel"):
        return lambda o: dict(iter(o))
    else:
        return None
    return lambda o: {name: getattr(o, name) for name in names}


def _inherits(cls: type, *names: str) -> bool:
    return any(dotted_name(base) in names for base in cls.__mro__)


def _rule_of(cls: type) -> Rule:
    if cls in _FIXED:
        return _FIXED[cls]
    if callable(getattr(cls, "__cache_key__", None)):
        return dotted_name(cls), lambda o: o.__cache_key__()
    if issubclass(cls, type):
        return "class", _class_text
    if issubclass(cls, enum.Enum):
        return dotted_name(cls), operator.attrgetter("value")
    if _inherits(cls, "pydantic.types.SecretStr", "pydantic.types.SecretBytes"):
        return "secret", lambda o: digest(_as_bytes(o.get_secret_value()))
    if _inherits(cls, "starlette.datastructures.ImmutableMultiDict"):
        return "multidict", lambda o: o.multi_items()
    if _inherits(cls, "starlette.datastructures.Headers"):
        return "headers", lambda o: list(o.raw)
    if _inherits(cls, "starlette.datastructures.URL"):
        return "url", str
    if issubclass(cls, pathlib.PurePath):
        return ("PosixPath" if issubclass(cls, pathlib.PurePosixPath) else "WindowsPath"), str
    if _inherits(cls, "zoneinfo.ZoneInfo"):
        return "ZoneInfo", lambda o: _zone_key(o)
    fields = _fields_of(cls)
    if fields:
        return dotted_name(cls), fields
    for base, plain in _PLAIN:
        if issubclass(cls, base):
            return "", plain
    for base, rule in _FIXED.items():
        if base is not datetime.date and issubclass(cls, base) and rule is not None:
            return dotted_name(cls), rule[1]
    raise UncacheableArgument(f"an object of type {dotted_name(cls)} cannot be part of a key")


def _as_bytes(value: str | bytes) -> bytes:
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value


def _zone_key(zone: Any) -> str:
    if zone.key is None:
        raise UncacheableArgument("a ZoneInfo without a key cannot be part of a key")
    return str(zone.key)


_KNOWN: dict[type, Rule] = {}
_KNOWN_MAX = 5000  # types; more than that are made on the fly, and forgotten


def _remember(known: dict[type, Any], cls: type, rule: Any) -> Any:
    if len(known) >= _KNOWN_MAX:
        known.clear()
    known[cls] = rule
    return rule


def _rule(cls: type) -> Rule:
    return _remember(_KNOWN, cls, None if _inherits(cls, *_EXCLUDED) else _rule_of(cls))  # type: ignore[no-any-return]


def _rules_with(excluded: frozenset[str]) -> tuple[dict[type, Rule], Callable[[type], Rule]]:
    """As _KNOWN and _rule, with more types that are left out."""
    known: dict[type, Rule] = {}

    def rule(cls: type) -> Rule:
        return _remember(known, cls, None if _inherits(cls, *excluded, *_EXCLUDED) else _rule_of(cls))  # type: ignore[no-any-return]

    return known, rule


# ---- self -----------------------------------------------------------------------------------------------------------------------------

_KNOWN_SELF: dict[type, Optional[bytes]] = {}


def _self_rule(cls: type) -> bytes | None:
    """None: an instance counts by its content. Bytes: by its class, which is what these are."""
    if hasattr(cls, "__mapper__") or hasattr(cls, "__table__"):
        raise UncacheableArgument(f"{dotted_name(cls)} is a row of a database: its methods need key= or a __cache_key__ method")
    try:
        if _rule_of(cls) is not None:
            return _remember(_KNOWN_SELF, cls, None)  # type: ignore[no-any-return]
    except UncacheableArgument:
        pass
    name = dotted_name(cls).encode("utf-8")
    return _remember(_KNOWN_SELF, cls, b"o%d:%b" % (len(name), name))  # type: ignore[no-any-return]


# ---- Templates ------------------------------------------------------------------------------------------------------------------------

_ESCAPED_IN_TEXT = re.compile(r"[^A-Za-z0-9_.\-~@ %]")


def template_text(value: Any, escape: bool = False) -> str:
    """A value as text of a key or tag template. With `escape`, no character of it can be taken for one between two fields."""
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, str):
        text = str.__str__(value)
    elif value is None or isinstance(value, (bool, int, float, decimal.Decimal, uuid.UUID, ipaddress.IPv4Address, ipaddress.IPv6Address)):
        text = str(value)
    elif isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        text = value.isoformat()
    else:
        raise UncacheableArgument(f"an object of type {dotted_name(type(value))} has no text for a template")
    return urllib.parse.quote(text, safe="@ ", errors="surrogatepass") if escape else text


@dataclasses.dataclass(frozen=True)
class Template:
    """`user:{user_id}:{query.page}`, taken apart."""

    text: str
    literals: tuple[str, ...]
    fields: tuple[str, ...]
    escape: bool = False

    @classmethod
    def parse(cls, text: str, names: Iterable[str], *, separated: bool) -> Template:
        """separated: several fields must not run into each other, and are escaped so that they cannot."""
        literals, fields, literal = [], [], ""
        allowed = list(names)
        for before, field, spec, conversion in string.Formatter().parse(text):
            literal += before
            if field is None:
                continue
            if spec or conversion:
                raise ValueError(f"template {text!r}: {{{field}}} takes neither a conversion nor a format")
            root = re.split(r"[.\[]", field, maxsplit=1)[0]
            if root not in allowed:
                raise ValueError(f"template {text!r}: there is no {root!r}; there is {', '.join(allowed) or 'nothing'}")
            literals.append(literal)
            fields.append(field)
            literal = ""
        literals.append(literal)
        escape = separated and len(fields) > 1
        for i in range(1, len(fields) if escape else 0):
            if not _ESCAPED_IN_TEXT.search(literals[i]):
                raise ValueError(f"template {text!r}: put ':' or '/' between {{{fields[i - 1]}}} and {{{fields[i]}}}, or both run together")
        return cls(text, tuple(literals), tuple(fields), escape)

    def mentions(self, name: str) -> bool:
        return any(re.split(r"[.\[]", field, maxsplit=1)[0] == name for field in self.fields)

    def render(self, values: dict[str, Any]) -> str:
        out = [self.literals[0]]
        for field, literal in zip(self.fields, self.literals[1:]):
            out += template_text(look_up(field, values), self.escape), literal
        return "".join(out)


_PATH = re.compile(r"\.([^.\[]+)|\[([^\]]+)\]")


def look_up(field: str, values: dict[str, Any]) -> Any:
    """`user.id` or `row[id]` in values."""
    root = re.split(r"[.\[]", field, maxsplit=1)[0]
    value = values[root]
    for match in _PATH.finditer(field, len(root)):
        attribute, item = match.groups()
        if attribute is not None:
            value = getattr(value, attribute)
        else:
            value = value[int(item) if item.isdigit() and not isinstance(value, dict) else item]
    return value


# ---- Plans ---------------------------------------------------------------------------------------------------------------------------

_Kind = inspect.Parameter


def _is_method(function: Any, first: inspect.Parameter | None) -> bool:
    return first is not None and first.name in ("self", "cls") and "." in function.__qualname__.rpartition("<locals>.")[2]


def _fail(function_name: str, name: str | None, error: TypeError) -> None:
    which = f"argument {name!r}" if name else "an argument"
    raise UncacheableArgument(
        f"{function_name}: {which}: {error}. Leave it out with exclude={(name or 'name',)!r} if the result does not depend on it, "
        "give key=, or give its class a __cache_key__ method"
    ) from error


def _excludes(exclude: Iterable[Any], names: list[str], function_name: str) -> tuple[set[str], frozenset[str]]:
    by_name, by_type = set(), set()
    for item in (exclude,) if isinstance(exclude, (str, type)) else exclude:
        if isinstance(item, type):
            by_type.add(dotted_name(item))
        elif isinstance(item, str) and "." in item:
            by_type.add(item)
        elif isinstance(item, str) and item in names:
            by_name.add(item)
        else:
            raise ValueError(f"{function_name}: exclude: there is no parameter {item!r}")
    return by_name, frozenset(by_type)


def _left_out_by_annotation(function: Callable[..., Any], rule: Callable[[type], Rule]) -> set[str]:
    """Parameters that are declared to be of a type that is left out. Annotations that mean nothing (yet) are passed over."""
    try:
        hints = typing.get_type_hints(function)
    except Exception:
        hints = getattr(function, "__annotations__", {})
    found = set()
    for name, hint in hints.items():
        kinds = [kind for kind in (typing.get_args(hint) or (hint,)) if kind is not type(None)]
        try:
            if kinds and all(isinstance(kind, type) and rule(kind) is None for kind in kinds):
                found.add(name)
        except UncacheableArgument:
            pass
    return found


def key_plan(
    function: Callable[..., Any],
    *,
    name: str,
    key: KeySource = None,
    exclude: Iterable[Any] = (),
    secret: Iterable[str] = (),
) -> tuple[_core.KeyPlan, MustWait]:
    """The plan for a function's keys, and which calls cannot be refreshed behind. ValueError or TypeError for options that do not fit."""
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())
    fixed = [p for p in parameters if p.kind in (_Kind.POSITIONAL_ONLY, _Kind.POSITIONAL_OR_KEYWORD, _Kind.KEYWORD_ONLY)]
    rest = {p.kind: p for p in parameters if p.kind in (_Kind.VAR_POSITIONAL, _Kind.VAR_KEYWORD)}
    names = [p.name for p in parameters]
    left_out, types_left_out = _excludes(exclude, names, name)
    secrets = {secret} if isinstance(secret, str) else set(secret)
    if not secrets <= set(names):
        raise ValueError(f"{name}: secret: there is no parameter {', '.join(sorted(secrets - set(names)))}")

    known, rule = _rules_with(types_left_out) if types_left_out else (_KNOWN, _rule)
    left_out |= _left_out_by_annotation(function, rule) & {p.name for p in fixed}

    def how(p: inspect.Parameter | None) -> str:
        if p is None:
            return "\0"
        if p.name in left_out:
            return "-"
        if p.name in secrets:
            return "#"
        return "s" if p is parameters[0] and _is_method(function, p) else "k"

    letters = [how(p) for p in fixed] + [how(rest.get(_Kind.VAR_POSITIONAL)), how(rest.get(_Kind.VAR_KEYWORD))]
    counted = [p.name for p, letter in zip(fixed, letters) if letter != "-"]
    counted += [("*" if kind is _Kind.VAR_POSITIONAL else "**") + p.name for kind, p in rest.items() if p.name not in left_out]
    plan: dict[str, Any] = dict(
        prefix=f"{name}({','.join(counted)})".encode(),
        names=tuple(p.name for p in fixed),
        defaults=tuple(_core.MISSING if p.default is _Kind.empty else p.default for p in fixed),
        missing=_core.MISSING,
        how="".join(letters).encode(),
        positional_only=sum(p.kind is _Kind.POSITIONAL_ONLY for p in fixed),
        positional=sum(p.kind is not _Kind.KEYWORD_ONLY for p in fixed),
        known=known,
        rule=rule,
        known_self=_KNOWN_SELF,
        rule_self=_self_rule,
        fail=functools.partial(_fail, name),
        digest=digest,
    )
    if isinstance(key, str):
        plan.update(_template_options(Template.parse(key, names, separated=True), plan["names"], function, name))
    elif callable(key):
        plan["custom"] = key
    elif key is not None:
        raise TypeError(f"{name}: key must be a template (str) or a function, not {type(key).__name__}")
    if isinstance(key, str) and secrets:
        raise ValueError(f"{name}: secret= has no effect on a key template; let key= be a function that digests it")
    return _core.KeyPlan(**plan), _must_wait(signature, left_out, rule)


def _must_wait(signature: inspect.Signature, left_out: set[str], rule: Callable[[type], Rule]) -> MustWait:
    def must_wait(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            if isinstance(value, (int, float, str, bytes, type(None))):
                continue
            if name in left_out:
                return True
            try:
                if rule(type(value)) is None:
                    return True
            except UncacheableArgument:
                pass  # self
        return False

    return must_wait


def _template_options(template: Template, names: tuple[str, ...], function: Callable[..., Any], name: str) -> dict[str, Any]:
    if not template.text:
        raise ValueError(f"{name}: key must not be empty")
    if all(field in names for field in template.fields) and len(names) <= 255:
        return dict(
            literals=tuple(literal.encode() for literal in template.literals),
            fields=bytes(names.index(field) for field in template.fields),
            text=template_text,
            escape=template.escape,
        )
    signature = inspect.signature(function)

    def custom(*args: Any, **kwargs: Any) -> str:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return template.render(bound.arguments)

    return dict(custom=custom)
