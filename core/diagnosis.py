"""What is wrong with this server, and what to do: `manage.py doctor` asks every part.

A part's module declares an examination with ``examines``; it yields findings and may raise what
it is there to find out.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal, TypeVar

import structlog
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core import checks
from django.core.cache import cache
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from core.data import condition, indexes
from core.data.embedded import EmbeddedError
from core.errors import CoglexError
from core.times import now

log = structlog.get_logger("coglex.doctor")

Level = Literal["error", "warning"]

LEAST_FREE_BYTES = 1024**3
MOST_CLOCK_DIFFERENCE = timedelta(seconds=5)
OLDEST_MONGODB = (6, 0)


@dataclass(frozen=True)
class Finding:
    """Something that is wrong: in which part, how badly, and the way out."""

    code: str
    level: Level
    part: str
    detail: str
    remedy: str


Examination = Callable[[], Iterator[Finding]]
Declared = TypeVar("Declared", bound=Examination)
_examinations: dict[str, Examination] = {}
_on_mongodb: set[str] = set()


def examines(part: str, *, on_mongodb: bool = False) -> Callable[[Declared], Declared]:
    """Declare the examination of a part, which may be built on MongoDB."""

    def declare(examination: Declared) -> Declared:
        _examinations[part] = examination
        if on_mongodb:
            _on_mongodb.add(part)
        return examination

    return declare


def diagnose() -> Iterator[tuple[str, list[Finding]]]:
    """Each part and what is wrong with it; without MongoDB what is built on it is left out."""
    unreachable = False
    for part in _examinations:
        if unreachable and part in _on_mongodb:
            continue
        found = _diagnose(part)
        unreachable |= any(finding.code == "mongodb.unreachable" for finding in found)
        yield part, found


def _diagnose(part: str) -> list[Finding]:
    """An examination that fails is a finding too."""
    try:
        return list(_examinations[part]())
    except (CoglexError, EmbeddedError, DatabaseError, OSError) as error:
        detail = error.detail if isinstance(error, CoglexError) else str(error)
        remedy = "See what this part needs to run, then ask again."
        return [Finding(f"{part}.unusable", "error", part, detail, remedy)]


@examines("settings")
def _settings() -> Iterator[Finding]:
    for message in checks.run_checks(include_deployment_checks=True):
        if message.is_silenced() or message.level < checks.WARNING:
            continue
        yield Finding(
            message.id or "settings",
            "error" if message.level >= checks.ERROR else "warning",
            "settings",
            str(message.msg),
            str(message.hint or "See docs/settings.md."),
        )


@examines("mongodb")
def _mongodb() -> Iterator[Finding]:
    try:
        found = condition.describe_server()
    except (CoglexError, EmbeddedError) as error:
        detail = error.detail if isinstance(error, CoglexError) else str(error)
        remedy = "Start it, or set MONGODB_URI to one that is running; `MONGODB_URI=` unsets it."
        yield Finding("mongodb.unreachable", "error", "mongodb", detail, remedy)
        return
    if found.version < OLDEST_MONGODB:
        told = ".".join(map(str, found.version))
        remedy = "Upgrade MongoDB to 6.0 or newer."
        yield Finding("mongodb.version", "error", "mongodb", f"This is MongoDB {told}.", remedy)
    if found.topology == "standalone":
        yield Finding(
            "mongodb.standalone",
            "error",
            "mongodb",
            "It is a standalone: batches, bulk changes and idempotency keys need transactions.",
            "Make it a replica set, of one member at least, and name it in MONGODB_URI.",
        )
    if abs(found.time - now()) > MOST_CLOCK_DIFFERENCE:
        yield Finding(
            "mongodb.clock",
            "warning",
            "mongodb",
            f"Its clock and ours differ by {abs(found.time - now()).total_seconds():.0f} s.",
            "Keep both machines' time with NTP: expiry and signed links depend on it.",
        )


@examines("indexes", on_mongodb=True)
def _indexes() -> Iterator[Finding]:
    if missing := indexes.missing_indexes():
        yield Finding(
            "indexes.missing",
            "error",
            "indexes",
            f"Missing: {', '.join(missing)}. Lookups are slow, and what must be unique may not be.",
            "Run `manage.py indexes ensure`.",
        )


@examines("django database")
def _django_database() -> Iterator[Finding]:
    executor = MigrationExecutor(connection)
    if pending := executor.migration_plan(executor.loader.graph.leaf_nodes()):
        detail = f"{len(pending)} migrations have not been applied."
        yield Finding(
            "database.migrations", "error", "django database", detail, "Run `manage.py migrate`."
        )
        return
    if not get_user_model().objects.filter(is_active=True, is_superuser=True).exists():
        yield Finding(
            "database.operator",
            "warning",
            "django database",
            "Nobody can sign in to the admin with all rights.",
            "Run `manage.py createsuperuser`.",
        )


@examines("cache", on_mongodb=not settings.REDIS_URL)
def _cache() -> Iterator[Finding]:
    key = f"doctor-{os.getpid()}"
    try:
        cache.set(key, 1, 10)
        works = cache.incr(key) == 2
    except Exception as error:  # noqa: BLE001 - each cache's driver raises its own kind
        log.info("cache_failed", error=type(error).__name__)
        works = False
    if not works:
        yield Finding(
            "cache.unusable",
            "error",
            "cache",
            "The cache does not keep and count: rate limits do not hold.",
            "See that what REDIS_URL names is running, or unset it.",
        )


@examines("disk")
def _disk() -> Iterator[Finding]:
    yield from examine_directory(settings.DATA_DIR, "COGLEX_DATA_DIR")


def examine_directory(directory: Path, setting: str) -> Iterator[Finding]:
    """Space, and who may read and write there."""
    if not os.access(directory, os.W_OK | os.X_OK):
        yield Finding(
            "disk.unwritable",
            "error",
            "disk",
            f"{directory} cannot be written to.",
            f"Give it to the user that runs the server, or set {setting} to another place.",
        )
        return
    if (free := shutil.disk_usage(directory).free) < LEAST_FREE_BYTES:
        yield Finding(
            "disk.space",
            "warning",
            "disk",
            f"{free // 1024**2} MiB are free in {directory}.",
            f"Make room, or set {setting} to a larger disk.",
        )
    if directory.stat().st_mode & 0o007:
        yield Finding(
            "disk.permissions",
            "error",
            "disk",
            f"Everybody on this machine can enter {directory}, where secrets and data are.",
            f"Run `chmod 700 {directory}`.",
        )
