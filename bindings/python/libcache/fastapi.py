"""libcache in a FastAPI application: what `libcache.starlette` has, and `cached_response`.

    from libcache.fastapi import cached_response, get_cache, setup
"""

from .responses import cached_response
from .starlette import PerformanceMiddleware, get_cache, lifespan, routes, setup

__all__ = ["PerformanceMiddleware", "cached_response", "get_cache", "lifespan", "routes", "setup"]
