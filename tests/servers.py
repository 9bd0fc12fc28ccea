"""The tests on PostgreSQL and Redis: `make test-servers`, and what a run has there.

Everything that a run makes is named after it. While it runs, a connection of that name is open to
each server, so that the next run can tell what an aborted one left, and remove it.
"""

from __future__ import annotations

import os
import re
import secrets
import sys
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import redis
from psycopg import sql

SKIPPED = "coglex: {} does not answer: the run of the tests with PostgreSQL and Redis was skipped"
DEFAULTS = {
    "COGLEX_TEST_DATABASE_URL": "postgres://postgres@127.0.0.1:5432/postgres",
    "COGLEX_TEST_REDIS_URL": "redis://127.0.0.1:6379/0",
}
# Unset: the tests run on SQLite, and on the cache in MongoDB.
DATABASE_URL = os.environ.get("COGLEX_TEST_DATABASE_URL", "")
REDIS_URL = os.environ.get("COGLEX_TEST_REDIS_URL", "")
# Inherited by the processes that the run starts.
RUN = os.environ.setdefault("COGLEX_TEST_RUN", f"coglex_tests_{secrets.token_hex(4)}")

_held: list[psycopg.Connection | redis.Redis] = []


def _owner(name: str) -> str | None:
    """The run that a database or a key is named after."""
    found = re.match(r"coglex_tests_[0-9a-f]{8}(?![0-9a-f])", name)
    return found[0] if found else None


def _postgresql(name: str = "") -> psycopg.Connection:
    return psycopg.connect(
        DATABASE_URL, autocommit=True, connect_timeout=5, application_name=name or f"of {RUN}"
    )


def claim() -> None:
    """Begin a run: say that it lives, and remove what runs left that do not."""
    if DATABASE_URL:
        _held.append(_postgresql(RUN))
        drop_databases(dead=True)
    if REDIS_URL:
        # A connection of its own, outside a pool: its name lasts as long as it is open.
        client = redis.Redis.from_url(REDIS_URL, client_name=RUN, single_connection_client=True)
        client.ping()
        _held.append(client)
        delete_keys(dead=True)


def release() -> None:
    """End a run: remove all that is its own."""
    if DATABASE_URL:
        drop_databases()
    if REDIS_URL:
        delete_keys()
    while _held:
        _held.pop().close()


def databases() -> list[str]:
    """The databases of all runs."""
    with _postgresql() as connection:
        rows = connection.execute("SELECT datname FROM pg_database").fetchall()
    return [name for (name,) in rows if _owner(name)]


def drop_databases(*, dead: bool = False) -> None:
    """Remove this run's databases, or those of runs that ended without doing so."""
    # First what there is: a run makes nothing before it is seen to live.
    names = databases()
    with _postgresql() as connection:
        rows = connection.execute("SELECT application_name FROM pg_stat_activity").fetchall()
        living = {name for (name,) in rows}
        for name in names:
            if _owner(name) not in living if dead else _owner(name) == RUN:
                dropped = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
                connection.execute(dropped.format(sql.Identifier(name)))


def keys() -> list[str]:
    """The keys of all runs in Redis."""
    with redis.Redis.from_url(REDIS_URL, decode_responses=True) as client:
        return [key for key in client.scan_iter("coglex_tests_*", count=1000) if _owner(key)]


def delete_keys(*, dead: bool = False) -> None:
    """Remove this run's keys, or those of runs that ended without doing so."""
    found = keys()
    with redis.Redis.from_url(REDIS_URL, decode_responses=True) as client:
        living = {each["name"] for each in client.client_list()}
        for key in found:
            if _owner(key) not in living if dead else _owner(key) == RUN:
                client.delete(key)


def own(data_dir: Path) -> dict[str, str]:
    """The environment of a server process: a database and keys of its own, for its directory."""
    name = f"{RUN}_{sha256(str(data_dir).encode()).hexdigest()[:12]}"
    settings = {"DATABASE_URL": "", "REDIS_URL": REDIS_URL, "COGLEX_REDIS_PREFIX": name}
    if DATABASE_URL:
        if name not in databases():
            with _postgresql() as connection:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        settings["DATABASE_URL"] = urlsplit(DATABASE_URL)._replace(path=f"/{name}").geturl()
    return {key: value for key, value in settings.items() if value}


def _silent() -> str:
    """Which of the two servers does not answer, and where."""
    try:
        psycopg.connect(os.environ["COGLEX_TEST_DATABASE_URL"], connect_timeout=3).close()
    except psycopg.OperationalError:
        return f"PostgreSQL at {_place('COGLEX_TEST_DATABASE_URL')}"
    try:
        with redis.Redis.from_url(
            os.environ["COGLEX_TEST_REDIS_URL"], socket_connect_timeout=3, socket_timeout=3
        ) as client:
            client.ping()
    except redis.RedisError:
        return f"Redis at {_place('COGLEX_TEST_REDIS_URL')}"
    return ""


def _place(name: str) -> str:
    """Host and port of a URL, without its password."""
    return urlsplit(os.environ[name]).netloc.rpartition("@")[2]


def main() -> None:
    """Become pytest on both servers, or say that there are none."""
    for name, url in DEFAULTS.items():
        os.environ.setdefault(name, url)
    if silent := _silent():
        sys.stdout.write(f"{SKIPPED.format(silent)}\n")
        return
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *sys.argv[1:]])


if __name__ == "__main__":
    main()
