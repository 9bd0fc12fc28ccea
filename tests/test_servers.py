"""A run of the tests on PostgreSQL and Redis leaves nothing there, nor does the one after an abort."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys

import psycopg
import pytest
import redis

from tests import servers
from tests.daemons import OwnPostgreSQL, OwnRedis
from tests.processes import ROOT, free_port

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    postgresql, own_redis = OwnPostgreSQL(), OwnRedis(tmp_path_factory.mktemp("redis"))
    yield postgresql, own_redis
    own_redis.stop()
    postgresql.remove()


@pytest.fixture
def run(both, monkeypatch):
    """The module as another run would have it."""
    postgresql, own_redis = both
    monkeypatch.setattr(servers, "DATABASE_URL", postgresql.url)
    monkeypatch.setattr(servers, "REDIS_URL", own_redis.url)
    monkeypatch.setattr(servers, "_held", [])
    return lambda: monkeypatch.setattr(servers, "RUN", f"coglex_tests_{secrets.token_hex(4)}")


def use(tmp_path):
    """Make what a server process of the run makes."""
    made = servers.own(tmp_path / "var")
    assert servers.own(tmp_path / "var") == made, "a server that is started anew finds its data"
    psycopg.connect(made["DATABASE_URL"]).close()
    with redis.Redis.from_url(made["REDIS_URL"]) as client:
        client.set(f"{made['COGLEX_REDIS_PREFIX']}:1:k", 1)


def test_a_run_ends_with_nothing_left(run, both, tmp_path):
    with redis.Redis.from_url(both[1].url) as client:
        client.set("another:1:k", 1)
        run()
        servers.claim()
        use(tmp_path)
        assert (len(servers.databases()), len(servers.keys())) == (1, 1)
        servers.release()
        assert (servers.databases(), servers.keys()) == ([], [])
        assert client.get("another:1:k") == b"1"


def test_the_next_run_removes_what_an_aborted_one_left_and_nothing_of_one_that_runs(run, tmp_path):
    run()
    servers.claim()
    use(tmp_path)
    kept = servers.databases() + servers.keys()
    aborted = list(servers._held)
    servers._held.clear()
    run()
    servers.claim()
    assert servers.databases() + servers.keys() == kept
    servers.release()
    for connection in aborted:
        connection.close()
    run()
    servers.claim()
    assert servers.databases() + servers.keys() == []
    servers.release()


@pytest.mark.parametrize("silent", ["PostgreSQL", "Redis"])
def test_it_is_said_that_the_run_was_skipped(both, silent):
    postgresql, own_redis = both
    port = free_port()
    urls = {
        "PostgreSQL": (
            "COGLEX_TEST_DATABASE_URL",
            postgresql.url,
            f"postgres://u:pw@127.0.0.1:{port}/x",
        ),
        "Redis": ("COGLEX_TEST_REDIS_URL", own_redis.url, f"redis://:pw@127.0.0.1:{port}/0"),
    }
    chosen = {name: away if each == silent else there for each, (name, there, away) in urls.items()}
    ran = subprocess.run(
        [sys.executable, "-m", "tests.servers", "--no-such-option"],
        cwd=ROOT,
        env={**os.environ, **chosen},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == (
        f"coglex: {silent} at 127.0.0.1:{port} does not answer: "
        "the run of the tests with PostgreSQL and Redis was skipped\n"
    )
