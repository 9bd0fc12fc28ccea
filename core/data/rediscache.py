"""Django's cache in Redis, with the values and errors of the cache in MongoDB.

Named in settings.CACHES where REDIS_URL is set. Values are what BSON can hold (no pickle: Redis is
not trusted to hold code). All threads of a process share its connections.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, Self, cast

import bson
from bson.errors import BSONError
from django.core.cache.backends import redis as backend
from django.core.cache.backends.base import BaseCache
from redis import Redis, exceptions
from redis.backoff import NoBackoff
from redis.connection import ConnectionPool
from redis.retry import Retry

from core.data.cache import checked
from core.data.client import CODEC
from core.errors import CacheUnavailable
from core.outages import Outage

_CONNECT_SECONDS = 2
_ANSWER_SECONDS = 2
_SIGNS = (exceptions.ConnectionError, exceptions.TimeoutError)
# Django's two commands would leave a counter without an end where it expires in between.
_INCREMENT = """
if redis.call('EXISTS', KEYS[1]) == 0 then return false end
local counted = redis.pcall('INCRBY', KEYS[1], ARGV[1])
return type(counted) == 'number' and counted
"""
# In Redis's patterns.
_SPECIAL = re.compile(r"([*?\[\]\\^-])")


class _Pool(ConnectionPool):
    """A process's connections to one server, and whether that answers."""

    _of: ClassVar[dict[str, Self]] = {}

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.outage = Outage(CacheUnavailable)

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Self:
        """The pool of this server, which all threads share."""
        return cls._of.get(url) or cls._of.setdefault(url, super().from_url(url, **options))


class _Redis(Redis):
    """A client whose commands raise CacheUnavailable where Redis does not do its work."""

    connection_pool: _Pool

    def execute_command(self, *args: Any, **options: Any) -> Any:
        redis: Any = super()
        try:
            with self.connection_pool.outage.watch(*_SIGNS):
                return redis.execute_command(*args, **options)
        except exceptions.RedisError as error:
            raise CacheUnavailable from error


class _Serializer:
    """Whole numbers as Redis counts them, all else as BSON."""

    def dumps(self, value: Any) -> Any:
        held = checked(value)
        return held if type(held) is int else bson.encode({"value": held})

    def loads(self, data: bytes) -> Any:
        try:
            return int(data)
        except ValueError:
            pass
        try:
            return bson.decode(data, CODEC)["value"]
        except (BSONError, KeyError):
            # What another program wrote is as good as not there.
            return None


class _Client(backend.RedisCacheClient):
    """Django's, on the connections that all threads share."""

    def __init__(self, servers: list[str]) -> None:
        super().__init__(
            servers,
            serializer=cast("Any", _Serializer),
            pool_class=_Pool,
            socket_connect_timeout=_CONNECT_SECONDS,
            socket_timeout=_ANSWER_SECONDS,
            # A server that was started anew has closed the connections that were open.
            retry=Retry(NoBackoff(), 1),
            retry_on_error=[exceptions.ConnectionError],
        )
        self._client = _Redis

    def incr(self, key: Any, delta: int) -> int:
        counted: int | None = self.get_client(key, write=True).eval(_INCREMENT, 1, key, delta)
        if counted is None:
            raise ValueError(f"Key {key!r} not found")
        return counted


class RedisCache(backend.RedisCache):
    """The cache backend; every method but ``clear`` costs one command or one for each key."""

    def __init__(self, server: str | list[str], params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._class = _Client

    # One by one, as Django's caches do where nothing else is said.
    set_many = BaseCache.set_many

    def clear(self) -> None:
        """Remove what is ours; the server may be others' too."""
        client = self._cache.get_client(None, write=True)
        ours = _SPECIAL.sub(r"\\\1", f"{self.key_prefix}:") + "*"
        for key in client.scan_iter(match=ours, count=1000):
            client.delete(key)
