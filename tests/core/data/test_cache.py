"""The cache in MongoDB behaves as Django's others do, and counts over processes."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from core.data import cache as module
from core.data.cache import MongoCache
from core.data.client import internal
from core.data.rediscache import RedisCache
from core.errors import CacheUnavailable
from tests import servers

REDIS = servers.REDIS_URL or servers.DEFAULTS["COGLEX_TEST_REDIS_URL"]


@pytest.fixture(params=["mongodb", "redis"])
def cache(request):
    """Each of the two backends that settings can choose."""
    if request.param == "mongodb":
        made = MongoCache("", {})
    else:
        made = RedisCache(REDIS, {"KEY_PREFIX": f"{servers.RUN}_[cache]_{os.getpid()}"})
        try:
            made.get("ping")
        except CacheUnavailable:
            pytest.skip("Redis does not answer")
    made.clear()
    yield made
    made.clear()


@pytest.mark.parametrize("value", [1, "x", None, [1, "a"], {"a": {"b": [1]}}, 1.5, True, b"x", 0])
def test_values_come_back(cache, value):
    cache.set("k", value)
    assert cache.get("k", "default") == value
    assert cache.has_key("k")
    assert "k" in cache


def test_what_is_not_there_is_the_default(cache):
    assert cache.get("none") is None
    assert cache.get("none", 5) == 5
    assert cache.delete("none") is False
    assert cache.touch("none") is False
    with pytest.raises(ValueError, match="not found"):
        cache.incr("none")


def test_add_takes_only_a_free_key(cache):
    assert cache.add("k", 1) is True
    assert cache.add("k", 2) is False
    assert cache.get("k") == 1
    assert cache.delete("k") is True
    assert cache.add("k", 3) is True


def test_counters_count(cache):
    cache.set("n", 1)
    assert cache.incr("n") == 2
    assert cache.incr("n", 5) == 7
    assert cache.decr("n", 2) == 5
    assert cache.get("n") == 5


def test_entries_expire(cache):
    cache.set("now", 1, timeout=0)
    cache.set("past", 1, timeout=-5)
    cache.set("later", 1, timeout=60)
    cache.set("never", 1, timeout=None)
    assert [cache.get(key) for key in ("now", "past", "later", "never")] == [None, None, 1, 1]
    cache.touch("later", timeout=0)
    assert cache.get("later") is None
    assert cache.add("later", 2) is True


def test_many_and_versions_and_clear(cache):
    cache.set_many({"a": 1, "b": 2})
    assert cache.get_many(["a", "b", "c"]) == {"a": 1, "b": 2}
    cache.set("a", 9, version=2)
    assert (cache.get("a"), cache.get("a", version=2)) == (1, 9)
    cache.delete_many(["a", "b"])
    assert cache.get_many(["a", "b"]) == {}
    cache.set("a", 1)
    cache.clear()
    assert cache.get("a") is None


def test_an_expired_counter_starts_anew(monkeypatch):
    made = MongoCache("", {})
    made.set("n", 7, timeout=10)
    now = module._now()
    monkeypatch.setattr(module, "_now", lambda: now + timedelta(seconds=11))
    with pytest.raises(ValueError, match="not found"):
        made.incr("n")
    assert made.add("n", 1, timeout=10) is True
    assert made.incr("n") == 2
    made.clear()


@pytest.mark.parametrize("value", [object(), {1, 2}, lambda: 1, 2**70])
def test_what_the_database_cannot_hold_is_a_type_error(cache, value):
    with pytest.raises(TypeError):
        cache.set("k", value)
    assert cache.get("k") is None


def test_what_does_not_count_is_not_counted(cache):
    cache.set("k", "text")
    with pytest.raises(ValueError, match="not found"):
        cache.incr("k")
    assert cache.get("k") == "text"


def test_of_many_adds_at_once_one_succeeds():
    made = MongoCache("", {})
    for turn in range(10):
        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(lambda _, key=f"k{turn}": made.add(key, 1), range(8)))
        assert results.count(True) == 1
    made.clear()


def _count(times):
    made = MongoCache("", {})
    for _ in range(times):
        made.incr("shared")


def test_processes_count_together():
    made = MongoCache("", {})
    made.set("shared", 0)
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_count, args=(100,)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert made.get("shared") == 400
    made.clear()


def test_expired_entries_are_removed_by_the_database():
    indexes = internal("cache").index_information()
    assert indexes["expires_at_1"]["expireAfterSeconds"] == 0
