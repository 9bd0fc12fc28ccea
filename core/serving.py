"""Running the server: what must be true before, the workers, and the lines a newcomer reads.

Called by `manage.py serve` and, in each worker, by the WSGI entry.
"""

from __future__ import annotations

import errno
import multiprocessing
import os
import secrets
import signal
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import Any
from urllib.error import URLError

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server import MPServer

from core import metrics
from core.addresses import address as local_address
from core.data import client, embedded
from core.data.indexes import ensure_indexes

APPLICATION = "coglex_project.wsgi:application"
# Threads that wait are many, requests that compute few: see core.turns.
THREADS = 64
# For the requests in flight when the server is told to stop.
STOP_SECONDS = 20
# Between replacements of workers that die one after the other.
RESPAWN_PAUSE_SECONDS = 0.5
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


def interrupt_once() -> None:
    """Make the first Ctrl-C or SIGTERM a KeyboardInterrupt; later ones cannot cut clean-up short.

    Until the workers are started, which answer for themselves from then on.
    """

    def interrupt(*_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)


@contextmanager
def database(say: Say) -> Iterator[None]:
    """MongoDB for as long as the server runs: the embedded one, or the one that is configured."""
    if settings.MONGODB_URI:
        yield
        return
    say("Starting MongoDB …")
    with embedded.supervise(settings.DATA_DIR):
        try:
            yield
        finally:
            client.close()


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


def run(say: Say) -> None:
    """Serve until told to stop; requests in flight get their answers."""
    ensure_indexes()
    metrics.reset()
    client.close()
    connection.close()
    if connection.vendor == "postgresql":
        connection.close_pool()  # type: ignore[attr-defined]
    # A fork would copy the locks of threads that do not exist in the worker.
    multiprocessing.set_start_method("spawn", force=True)
    resource_tracker.ensure_running()
    threading.Thread(target=_greet, args=(say,), name="greeting", daemon=True).start()
    _Server(
        APPLICATION,
        address=settings.HOST,
        port=settings.PORT,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        websockets=False,
        workers=settings.WEB_WORKERS,
        blocking_threads=THREADS,
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_SECONDS,
        log_level=LogLevels.warning,
        log_dictconfig={
            "version": 1,
            "disable_existing_loggers": False,
            "loggers": {"_granian": {"level": "WARNING", "handlers": [], "propagate": True}},
        },
    ).serve()


class _Server(MPServer):
    """Granian's, that never gives up: it ends when workers die twice within seconds.

    A second Ctrl-C ends it without waiting for requests, and so does a terminal that is closed.
    """

    _last_respawn = 0.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_terminal = os.isatty(0)

    def signal_handler_interrupt(self, *args: Any) -> None:
        workers: list[Any] = self.wrks
        for worker in workers:
            # Its end is expected from now on: the signal may have been sent to it as well.
            worker.interrupt_by_parent = True
            # Supervisors and make may send SIGTERM twice; a second Ctrl-C is a person's.
            if self.interrupt_signal and args[0] == signal.SIGINT:
                worker.kill()
        granian: Any = super()
        granian.signal_handler_interrupt(*args)

    def shutdown(self, exit_code: int = 0) -> None:
        if self.interrupt_signal:
            self.interrupt_children.clear()
        super().shutdown(exit_code)  # type: ignore[no-untyped-call]

    def signal_handler_reload(self, *args: Any) -> None:
        granian: Any = super()
        if self._in_terminal:
            granian.signal_handler_interrupt(*args)
        else:
            granian.signal_handler_reload(*args)

    def _spawn_workers(self, *args: Any) -> None:
        granian: Any = super()
        with _interrupts_blocked():
            granian._spawn_workers(*args)  # noqa: SLF001 - there is no other place

    def _respawn_workers(self, *args: Any, **kwargs: Any) -> None:
        if time.monotonic() - self._last_respawn < 5:
            time.sleep(RESPAWN_PAUSE_SECONDS)
        self._last_respawn = time.monotonic()
        with _interrupts_blocked():
            super()._respawn_workers(*args, **kwargs)
        self.respawned_wrks.clear()
        if self.interrupt_signal:
            # Granian forgets what came while it looked at the dead.
            self.main_loop_interrupt.set()


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Workers inherit this: Ctrl-C, which a terminal sends to all, is for the parent alone."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _greet(say: Say) -> None:
    """Once the server answers, say what a newcomer needs."""
    address = local_address(settings.HOST, settings.PORT)
    if not _answers(f"{address}/healthz"):
        return
    kept = settings.SERVER_SECRET_FILE
    key = settings.SERVER_SECRET if kept else "$SERVER_SECRET"
    origin = f"(kept in {kept})" if kept else "(SERVER_SECRET from the environment)"
    say(f"""
Coglex serves on {address}

  documentation  {address}/docs/
  admin          {address}/admin/
  API key        {key}  {origin}

Keep a first document:

  curl -H 'X-API-Key: {key}' -H 'Content-Type: application/json' \\
       -d '{{"name": "Ada"}}' {address}/service/storage/v1/people/

Ctrl-C stops it.""")


def _answers(url: str) -> bool:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own address
                return True
        except (URLError, OSError):
            time.sleep(0.05)
    return False


def start_worker() -> None:
    """In a worker: leave the terminal to the parent, and end when the parent is gone."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    os.setsid()
    threading.Thread(
        target=_end_with, args=(parent.sentinel,), name="parent-watch", daemon=True
    ).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(STOP_SECONDS)
    os._exit(1)
