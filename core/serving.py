"""Before the server runs: an address that is free, a MongoDB, tables, indexes, an operator.

Called by `manage.py serve`.
"""

from __future__ import annotations

import errno
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from core import metrics, supervisor
from core.data import client, embedded
from core.data.indexes import ensure_indexes

OPERATOR = "admin"

Say = Callable[[str], None]


class CannotServe(RuntimeError):
    """The server cannot start; the message says why, and the way out."""


def check_port(host: str, port: int) -> None:
    """Raise CannotServe when another program listens there, or the address is not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            other = f"`PORT={max(port + 1, 8000)} make run`"
            raise CannotServe(
                {
                    errno.EADDRINUSE: f"Port {port} is taken: stop what uses it, or set PORT, "
                    f"as in {other}.",
                    errno.EACCES: f"Port {port} needs more rights: set PORT, as in {other}.",
                }.get(
                    error.errno or 0,
                    f"Cannot listen on {host}:{port} ({error.strerror}): set HOST to an address "
                    "of this machine, such as 127.0.0.1.",
                )
            ) from None
        except OverflowError:
            raise CannotServe(f"There is no port {port}: set PORT to at most 65535.") from None


@contextmanager
def database(say: Say) -> Iterator[None]:
    """MongoDB while the block prepares things: the embedded one, or the one that is configured.

    When the block ends by an error, or an interrupt, the embedded one is stopped.
    """
    if not settings.MONGODB_URI:
        say("Starting MongoDB …")
        embedded.attach(settings.DATA_DIR)
    try:
        yield
    finally:
        client.close()
        embedded.release()


def set_up(say: Say) -> None:
    """Bring Django's tables up to date, and make the first operator; says how to sign in, once."""
    if _pending():
        say("Preparing Django's tables …")
        call_command("migrate", verbosity=0, interactive=False)
    operators = get_user_model().objects
    if not operators.filter(is_superuser=True).exists():
        password = secrets.token_urlsafe(12)
        operators.create_superuser(OPERATOR, password=password)
        say(f"First operator of the admin: {OPERATOR}, password {password} (shown only now)")


def require_tables() -> None:
    """Raise CannotServe when migrations are missing."""
    if _pending():
        raise CannotServe("Django's tables are not up to date: run `manage.py migrate` first.")


def _pending() -> bool:
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def run() -> NoReturn:
    """Become the server, which serves until told to stop."""
    ensure_indexes()
    metrics.reset()
    client.close()
    connection.close()
    if connection.vendor == "postgresql":
        connection.close_pool()  # type: ignore[attr-defined]
    kept = settings.SERVER_SECRET_FILE
    supervisor.become(
        settings.BASE_DIR / "manage.py",
        supervisor.Plan(
            host=settings.HOST,
            port=settings.PORT,
            workers=settings.WEB_WORKERS,
            data_dir=None if settings.MONGODB_URI else str(settings.DATA_DIR),
            secret_file=str(kept) if kept else None,
            logging=settings.LOGGING,
        ),
    )
