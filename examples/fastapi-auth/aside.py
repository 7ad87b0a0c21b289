"""What the service is compared with: no cache, and the cache-aside that is usually written by hand with redis-py.

It has the few options of `Namespace.cached` that the service uses, so that the service is the same. Tags are sets of keys in Redis.
"""

import functools
import hashlib
import inspect
import json


class Nothing:
    """No cache."""

    def namespace(self, name, ttl):
        return self

    def cached(self, **options):
        return lambda function: function

    async def invalidate(self, *tags):
        pass


class Aside:
    def __init__(self, url):
        import redis.asyncio

        self.redis = redis.asyncio.from_url(url)

    def namespace(self, name, ttl):
        return AsideNamespace(self.redis, name, ttl)

    async def invalidate(self, *tags):
        for tag in tags:
            keys = await self.redis.smembers(f"tag:{tag}")
            await self.redis.delete(f"tag:{tag}", *keys)


class AsideNamespace:
    def __init__(self, redis, name, ttl):
        self.redis, self.name, self.ttl = redis, name, ttl

    def cached(self, *, tags=(), negative=None, secret=None):
        def decorate(function):
            signature = inspect.signature(function)

            @functools.wraps(function)
            async def cached(*args):
                key = f"{self.name}:" + (hashlib.sha256(str(args).encode()).hexdigest() if secret else ":".join(map(str, args)))
                found = await self.redis.get(key)
                if found is not None:
                    return json.loads(found)
                value = await function(*args)
                async with self.redis.pipeline(transaction=False) as pipe:
                    pipe.set(key, json.dumps(value), ex=5 if negative and negative(value) else self.ttl)
                    for tag in tags:
                        if value is not None or "{result" not in tag:
                            pipe.sadd("tag:" + tag.format(**signature.bind(*args).arguments, result=value), key)
                    await pipe.execute()
                return value

            return cached

        return decorate
