"""Which declared type the results of a decorated function have, and the namespace that stores them so."""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .plain import plain_hooks

if TYPE_CHECKING:
    from .cache import Namespace


def typed_namespace(ns: Namespace, function: Callable[..., Any], declared: Any, memo: int) -> Namespace:
    """`ns` itself, or the same namespace with values of the declared type: `declared`, else what the function's annotation says."""
    codec = ns.codec
    if declared is not None:
        codec = None
    elif codec is None and ns.type is None:
        declared = _return_type(function)
        declared = declared if _makes_a_difference(declared) else None
    if declared is None and (not memo or memo == ns.memo):
        return ns
    made: Namespace = ns.cache.namespace(ns.name, type=declared or ns.type, codec=codec, memo=memo or ns.memo)  # type: ignore[attr-defined]
    return made


def _return_type(function: Any) -> Any:
    annotation = getattr(function, "__annotations__", {}).get("return")
    if not isinstance(annotation, str):
        return annotation
    try:
        return typing.get_type_hints(function, include_extras=True).get("return")
    except Exception:  # names that exist for a type checker only, or come later: then type= must say it
        return None


def _makes_a_difference(declared: Any) -> bool:
    try:
        return bool(plain_hooks(declared))
    except TypeError:  # an annotation for readers
        return False
