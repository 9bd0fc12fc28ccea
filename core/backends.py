"""The entries of Django's DATABASES and CACHES for what operators set; settings.py calls it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

_POSTGRESQL = "django.db.backends.postgresql"


def sqlite(path: Path) -> dict[str, Any]:
    """Django's tables in a file."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        # Readers never wait for a writer, and a writer takes its lock before it reads.
        "OPTIONS": {
            "init_command": "PRAGMA journal_mode=WAL",
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
        },
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }


def database(url: str) -> dict[str, Any]:
    """Django's tables where DATABASE_URL says; raises ImproperlyConfigured."""
    _check("DATABASE_URL", url, environ.Env.DB_SCHEMES, "postgres://user:password@host/database")
    made: dict[str, Any] = environ.Env.db_url_config(url)
    if made["ENGINE"] != _POSTGRESQL:
        return {**made, "CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
    # Seconds until a server that does not answer is given up, and milliseconds until a network is.
    patience = {"connect_timeout": 3, "tcp_user_timeout": 5000}
    options = {**patience, **made.get("OPTIONS", {})}
    # Its connections are the threads' in common: they go back when a request ends.
    return {**made, "ENGINE": "core.postgresql", "OPTIONS": options, "CONN_MAX_AGE": 0}


def cache(url: str, *, prefix: str) -> dict[str, Any]:
    """The cache where REDIS_URL says, one server or, separated by commas, its replicas too."""
    for each in re.split("[;,]", url):
        _check("REDIS_URL", each, ("redis", "rediss", "unix"), "redis://host:6379/0")
    return {
        "BACKEND": "core.data.rediscache.RedisCache",
        "LOCATION": url,
        "KEY_PREFIX": prefix,
    }


def _check(name: str, url: str, schemes: Any, example: str) -> None:
    try:
        parts = urlsplit(url)
        is_known = parts.scheme in schemes and (parts.port is None or parts.port > 0)
    except ValueError:
        is_known = False
    if not is_known:
        # Not what it is: it may hold a password.
        raise ImproperlyConfigured(f"{name} must be a URL such as {example}.")
