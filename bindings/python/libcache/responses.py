"""Whole answers of GET routes, with ETag and Cache-Control.

    @app.get("/organizations/{org_id}")
    @cached_response(organizations, ttl=600, tags=["org:{org_id}"])
    async def organization(org_id: int, user: User = Depends(current_user)) -> Organization: ...

The dependencies of the route run before, as ever: who may not ask is not answered from the cache. The key is made of the arguments that the
endpoint is given, its dependencies' values among them, and of the request headers named by `vary`.

An endpoint may return a value, which FastAPI turns into an answer each time (response_model filters it as before), or a `Response` with a
body, which is kept as it is.
"""

from __future__ import annotations

import base64
import hashlib
import inspect
import time
import typing
from collections.abc import Callable, Iterable
from typing import Any, Optional, TypeVar, Union

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from . import _core
from .decorator import _is_async, _name_of, cached
from .keys import Template, digest, key_plan
from .loads import Call, TagSource
from .starlette import TIMINGS

__all__ = ["cached_response"]

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

_REQUEST, _RESPONSE, _VARY, _SEEN = "libcache_request", "libcache_response", "libcache_vary", "libcache_seen"
_OWN_HEADERS = frozenset((b"content-length", b"etag", b"cache-control", b"vary", b"age", b"x-cache"))


class _Seen:
    """Whether this call ran the endpoint."""

    __slots__ = ("loaded",)

    def __init__(self) -> None:
        self.loaded = False


def _plain(result: Any) -> Any:
    """What is kept of a value: what FastAPI would make JSON of."""
    try:
        from fastapi.encoders import jsonable_encoder
    except ImportError:  # Starlette alone: endpoints return Responses
        return result
    return jsonable_encoder(result)


def _record(result: Any) -> Optional[list[Any]]:
    """[etag, when, status, headers, body], of which status is 0 for a value. None: not to be kept."""
    now = int(time.time())
    if not isinstance(result, Response):
        plain = _plain(result)
        data, codec = _core.encode(plain)
        return [_etag(bytes(data), b"%d" % codec), now, 0, [], plain]
    body = getattr(result, "body", None)
    if result.status_code != 200 or not isinstance(body, bytes) or b"set-cookie" in dict(result.raw_headers):
        return None
    headers = [[name, value] for name, value in result.raw_headers if name not in _OWN_HEADERS]
    return [_etag(body, result.headers.get("content-type", "").encode("latin-1")), now, 200, headers, body]


def _etag(*parts: bytes) -> str:
    hashed = hashlib.blake2b(digest_size=15)
    for part in parts:
        hashed.update(b"%d:" % len(part) + part)
    return '"' + base64.urlsafe_b64encode(hashed.digest()).decode("ascii") + '"'


def _matches(header: Optional[str], etag: str) -> bool:
    """If-None-Match, compared weakly, as it is to be."""
    if header is None:
        return False
    tags = [tag.strip() for tag in header.split(",")]
    return "*" in tags or any(tag.removeprefix("W/") == etag for tag in tags)


def _resolved_signature(endpoint: Callable[..., Any]) -> inspect.Signature:
    """With annotations that are no text any more: FastAPI would look their names up in this module."""
    signature = inspect.signature(endpoint)
    try:
        hints = typing.get_type_hints(endpoint, include_extras=True)
    except NameError as error:
        raise TypeError(f"{endpoint.__qualname__}: the annotations name what is not there (yet): {error}") from error
    # Optional[...] that get_type_hints adds for a default of None is what FastAPI does itself.
    parameters = [p.replace(annotation=hints.get(p.name, p.annotation)) for p in signature.parameters.values()]
    return signature.replace(parameters=parameters, return_annotation=hints.get("return", signature.return_annotation))


def _key_signature(signature: inspect.Signature, left_out: Iterable[Any]) -> inspect.Signature:
    """Of what an answer is found by: no request, nothing left out by name, and plain defaults where FastAPI's say more than that."""
    kept = []
    for p in signature.parameters.values():
        if p.name in left_out or (isinstance(p.annotation, type) and issubclass(p.annotation, (Request, Response))):
            continue
        if type(p.default).__module__ == "fastapi.params" and hasattr(p.default, "default"):
            p = p.replace(default=inspect.Parameter.empty if p.default.default is ... else p.default.default)
        if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD:
            p = p.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        kept.append(p)
    return signature.replace(parameters=kept)


def _parameter_of(signature: inspect.Signature, kind: type) -> Optional[str]:
    for p in signature.parameters.values():
        if isinstance(p.annotation, type) and issubclass(p.annotation, kind):
            return p.name
    return None


def _with_parameters(signature: inspect.Signature, **added: Any) -> inspect.Signature:
    """Keyword-only parameters more, before **kwargs."""
    parameters = list(signature.parameters.values())
    tail = [parameters.pop()] if parameters and parameters[-1].kind is inspect.Parameter.VAR_KEYWORD else []
    new = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind) for name, kind in added.items()]
    return signature.replace(parameters=[*parameters, *new, *tail])


def _call_tags(source: TagSource, signature: inspect.Signature, own: Callable[[dict[str, Any]], str]) -> Callable[[Call], list[str]]:
    """The user's tags, with the value that the endpoint returned as `result`, and the one that invalidates a call."""
    templates: list[Template] = []
    if not callable(source):
        texts = [source] if isinstance(source, str) else list(source)
        templates = [Template.parse(text, [*signature.parameters, "result"], separated=False) for text in texts]

    def make(call: Call) -> list[str]:
        arguments = {name: value for name, value in call.arguments.items() if name in signature.parameters}
        result = None if call.result is None or call.result[2] else call.result[4]
        if callable(source):
            tags = list(source(Call(arguments, result)))
        else:
            tags = [t.render({"result": result, **arguments}) for t in templates if result is not None or not t.mentions("result")]
        return [own(arguments), *tags]

    return make


def cached_response(
    ns: Any,
    *,
    ttl: Optional[_core.Seconds] = None,
    tags: TagSource = (),
    vary: Iterable[str] = (),
    private: bool = False,
    credentials: bool = False,
    max_age: Optional[_core.Seconds] = None,
    exclude: Iterable[Any] = (),
    name: Optional[str] = None,
    version: Union[str, int, None] = None,
    refresh: Optional[_core.Seconds] = None,
) -> Callable[[Endpoint], Endpoint]:
    """Caches what an endpoint answers to GET and HEAD.

    vary         request headers that the answer depends on; their values are in the key, as a digest
    private      Cache-Control says private: browsers may keep it, proxies must not. So it does to a request with Authorization or Cookie
                 that `vary` does not name, whatever this says
    credentials  False: a request with Authorization or Cookie is not answered from the cache, nor kept in it, unless `vary` names that
                 header. True: the answer does not depend on them but through the endpoint's arguments
    max_age      seconds for Cache-Control. Default: what is left of the TTL
    The rest as for `Namespace.cached`. The decorated endpoint has `invalidate(**arguments)`: a coroutine function that deletes an answer,
    in all its variants.
    """
    headers = tuple(header.lower() for header in ([vary] if isinstance(vary, str) else vary))

    def decorate(endpoint: Endpoint) -> Endpoint:
        own_name = _name_of(endpoint, name, version)
        signature = _resolved_signature(endpoint)
        is_async = _is_async(endpoint)
        request_name = _parameter_of(signature, Request)
        response_name = _parameter_of(signature, Response)

        async def call_endpoint(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            return await (endpoint(*args, **kwargs) if is_async else run_in_threadpool(endpoint, *args, **kwargs))

        async def load(*args: Any, **kwargs: Any) -> Any:
            kwargs.pop(_VARY)
            kwargs.pop(_SEEN).loaded = True
            result = await call_endpoint(args, kwargs)
            record = _record(result)
            return record if record is not None else [None, 0, 0, [], result]

        # Request and Response are left out of keys by their type; what this call has seen, by its name.
        load.__name__, load.__qualname__, load.__module__ = endpoint.__name__, endpoint.__qualname__, endpoint.__module__
        load.__signature__ = _with_parameters(signature, **{_VARY: tuple, _SEEN: _Seen})  # type: ignore[attr-defined]
        left_out = [exclude] if isinstance(exclude, (str, type)) else list(exclude)
        found_by = _key_signature(signature, left_out)
        plan, _ = key_plan(_signed(endpoint, found_by), name=own_name, exclude=[item for item in left_out if not isinstance(item, str)])

        def own_tag(arguments: dict[str, Any]) -> str:
            key = plan.key(**{name: value for name, value in arguments.items() if name in found_by.parameters})
            return f"@{ns.name}/{own_name}/" + digest(key).decode("ascii")

        kept = cached(
            ns, ttl=ttl, tags=_call_tags(tags, signature, own_tag), exclude=[*left_out, _SEEN], secret=[_VARY], refresh=refresh,
            name=own_name,
            store=lambda record: record[0] is not None,
        )(load)  # fmt: skip
        life = ns.policy()["ttl"] if ttl is None else _seconds(ttl)

        async def answer(*args: Any, **kwargs: Any) -> Any:
            request = kwargs[request_name] if request_name else kwargs.pop(_REQUEST)
            response = kwargs[response_name] if response_name else kwargs.pop(_RESPONSE)
            if request.method not in ("GET", "HEAD") or (not credentials and _has_credentials(request, headers)):
                return await call_endpoint(args, kwargs)
            seen = _Seen()
            values = tuple(request.headers.get(header) for header in headers)
            etag, when, status, raw, body = await kept(*args, **{**kwargs, _VARY: values, _SEEN: seen})
            if etag is None:
                return body
            said = _headers(etag, when, life, max_age, private or _has_credentials(request, headers), headers, seen)
            timings = request.scope.get(TIMINGS)
            if timings is not None:
                timings.append(f"cache;desc={said['x-cache']}")
            if _matches(request.headers.get("if-none-match"), etag):
                return Response(status_code=304, headers=said)
            if not status:
                response.headers.update(said)
                return body
            whole = Response(body, status)
            whole.raw_headers = [(bytes(k), bytes(v)) for k, v in raw] + [(b"content-length", b"%d" % len(body))]
            whole.headers.update(said)
            return whole

        added = {n: kind for n, kind, there in ((_REQUEST, Request, request_name), (_RESPONSE, Response, response_name)) if not there}
        answer.__name__, answer.__qualname__, answer.__module__ = endpoint.__name__, endpoint.__qualname__, endpoint.__module__
        answer.__doc__ = endpoint.__doc__
        answer.__signature__ = _with_parameters(signature, **added)  # type: ignore[attr-defined]
        answer.endpoint = endpoint  # type: ignore[attr-defined]
        answer.cache_info = kept.cache_info  # type: ignore[attr-defined]

        async def invalidate(**arguments: Any) -> None:
            await ns.cache.aio.invalidate(own_tag(arguments))

        answer.invalidate = invalidate  # type: ignore[attr-defined]
        return answer  # type: ignore[return-value]

    return decorate


def _signed(endpoint: Callable[..., Any], signature: inspect.Signature) -> Callable[..., Any]:
    async def never(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    never.__name__, never.__qualname__, never.__module__ = endpoint.__name__, endpoint.__qualname__, endpoint.__module__
    never.__signature__ = signature  # type: ignore[attr-defined]
    return never


def _seconds(ttl: Any) -> float:
    return float(ttl.total_seconds()) if hasattr(ttl, "total_seconds") else float(ttl)


def _has_credentials(request: Request, vary: tuple[str, ...]) -> bool:
    return any(header in request.headers and header not in vary for header in ("authorization", "cookie"))


def _headers(etag: str, when: int, life: float, max_age: Any, private: bool, vary: tuple[str, ...], seen: _Seen) -> dict[str, str]:
    age = min(max(int(time.time()) - when, 0), int(min(life, 10**9)))
    left = int(min(life, 10**9)) - age if max_age is None else int(min(_seconds(max_age), life))
    said = {
        "etag": etag,
        "cache-control": f"{'private' if private else 'public'}, max-age={max(left, 0)}",
        "x-cache": "miss" if seen.loaded else "hit",
    }
    if vary:
        said["vary"] = ", ".join(vary)
    return said
