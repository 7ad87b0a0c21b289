"""Which declared type the results of a decorated function have, and the namespace that stores them so."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cache import Namespace


def typed_namespace(ns: Namespace, function: Callable[..., Any], declared: Any) -> Namespace:
    """`ns` itself, or the same namespace with values of the declared type: `declared`, else what the function's annotation says."""
    if declared is None:
        if ns.codec is not None or ns.type is not None:
            return ns
        declared = _return_type(function)
        if not has_models(declared):
            return ns
    return ns.cache.namespace(ns.name, type=declared, codec=ns.codec)  # type: ignore[attr-defined, no-any-return]


def _return_type(function: Any) -> Any:
    annotation = getattr(function, "__annotations__", {}).get("return")
    if not isinstance(annotation, str):
        return annotation
    try:
        return typing.get_type_hints(function, include_extras=True).get("return")
    except Exception:  # names that exist for a type checker only, or come later: then type= must say it
        return None


def has_models(declared: Any) -> bool:
    """Whether values of this type hold dataclasses or models, which plain storing does not know."""
    if isinstance(declared, type) and not typing.get_args(declared):
        return dataclasses.is_dataclass(declared) or hasattr(declared, "model_fields") or hasattr(declared, "__fields__")
    return any(has_models(argument) for argument in typing.get_args(declared))
