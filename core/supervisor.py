"""The server's parent process: it starts the workers, replaces them, and keeps MongoDB running.

`manage.py serve` prepares everything and then becomes this program, which knows no Django and
takes a quarter of the memory. Workers call ``start_worker``.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, NoReturn

from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server import MPServer

from core.addresses import address as local_address
from core.data import embedded
from core.logs import configure_logging

APPLICATION = "coglex_project.wsgi:application"
# The argument of manage.py that means this program.
ARGUMENT = "supervise"
# Threads that wait are many, requests that compute few: see core.turns.
THREADS = 64
# For the requests in flight when the server is told to stop.
STOP_SECONDS = 20
# Between replacements of workers that die one after the other.
RESPAWN_PAUSE_SECONDS = 0.5
_PLAN = "COGLEX_PLAN"
# The processor that a worker keeps to.
_PROCESSOR = "COGLEX_PROCESSOR"
# Each of many threads would keep freed memory for itself, which only one needs at a time; and
# glibc would keep more, the larger what was freed is.
# Source: https://www.gnu.org/software/libc/manual/html_node/Memory-Allocation-Tunables.html
_MALLOC = ":".join(
    f"glibc.malloc.{name}"
    for name in (
        "arena_max=1",
        "tcache_count=0",
        f"mmap_threshold={1024 * 1024}",
        f"trim_threshold={1024 * 1024}",
    )
)
_INTERRUPTS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Plan:
    """What to serve: ``data_dir`` is that of the embedded MongoDB, or None for another one;
    ``secret_file`` holds the bootstrap key where it was made here."""

    host: str
    port: int
    workers: int
    data_dir: str | None
    secret_file: str | None
    logging: dict[str, Any]


def become(program: Path, plan: Plan) -> NoReturn:
    """Replace this process by the server; interrupts wait until that can answer them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPTS)
    sys.stdout.flush()
    environment = {
        "GLIBC_TUNABLES": _MALLOC,
        **os.environ,
        _PLAN: json.dumps(asdict(plan)),
    }
    os.execve(sys.executable, [sys.executable, str(program), ARGUMENT], environment)  # noqa: S606


def interrupt_once() -> None:
    """Make the first Ctrl-C or SIGTERM a KeyboardInterrupt; later ones cannot cut clean-up short.

    Until the workers are started, which answer for themselves from then on.
    """

    def interrupt(*_: object) -> None:
        for number in _INTERRUPTS:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in _INTERRUPTS:
        signal.signal(number, interrupt)


def was_interrupted() -> bool:
    """Whether the interrupt that ``interrupt_once`` waits for has come."""
    return signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def main() -> None:
    """Serve until told to stop; requests in flight get their answers."""
    if (written := os.environ.pop(_PLAN, None)) is None:
        sys.exit("coglex: this is what `manage.py serve` becomes: run that.")
    plan = Plan(**json.loads(written))
    configure_logging(plan.logging)
    interrupt_once()
    database = embedded.supervise(Path(plan.data_dir)) if plan.data_dir else nullcontext()
    try:
        with database:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _INTERRUPTS)
            _serve(plan)
    except embedded.EmbeddedError as error:
        sys.exit(f"CommandError: {error}")
    except KeyboardInterrupt:
        pass
    # Python would wait for a worker that nobody has told to end.
    for worker in multiprocessing.active_children():
        worker.kill()


def _serve(plan: Plan) -> None:
    # A fork would copy the locks of threads that do not exist in the worker.
    multiprocessing.set_start_method("spawn", force=True)
    _do_without_tracker()
    # It warns of many threads; ours take turns.
    logging.getLogger("_granian").addFilter(lambda record: "Python threads" not in str(record.msg))
    threading.Thread(target=_greet, args=(plan,), name="greeting", daemon=True).start()
    _Server(
        APPLICATION,
        address=plan.host,
        port=plan.port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        websockets=False,
        workers=plan.workers,
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


def _do_without_tracker() -> None:
    """Start no process that frees what workers share by name: they share nothing, it is 12 MB."""
    nobody = os.open(os.devnull, os.O_WRONLY)
    resource_tracker.getfd = lambda: nobody


class _Server(MPServer):
    """Granian's, that never gives up: it ends when workers die twice within seconds.

    A second Ctrl-C ends it without waiting for requests, and so does a terminal that is closed.
    """

    _last_respawn = 0.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_terminal = os.isatty(0)

    def _spawn_worker(self, idx: int, *args: Any, **kwargs: Any) -> Any:
        processors = _processors()
        if 1 < len(processors) <= self.workers:
            # It inherits this as it is started, next.
            os.environ[_PROCESSOR] = str(processors[idx % len(processors)])
        granian: Any = super()
        return granian._spawn_worker(idx, *args, **kwargs)  # noqa: SLF001 - as below

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
        try:
            super().shutdown(exit_code)  # type: ignore[no-untyped-call]
        except SystemExit:
            # Workers that were just being started when the signal came ended by it, too.
            if exit_code or not self.interrupt_signal:
                raise

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


def _greet(plan: Plan) -> None:
    """Once the server answers, say what a newcomer needs."""
    address = local_address(plan.host, plan.port)
    if not _answers(f"{address}/healthz"):
        return
    kept = plan.secret_file
    key = Path(kept).read_text(encoding="utf-8").strip() if kept else "$SERVER_SECRET"
    origin = f"(kept in {kept})" if kept else "(SERVER_SECRET from the environment)"
    greeting = f"""
Coglex serves on {address}

  documentation  {address}/docs/
  admin          {address}/admin/
  API key        {key}  {origin}

Keep a first document:

  curl -H 'X-API-Key: {key}' -H 'Content-Type: application/json' \\
       -d '{{"name": "Ada"}}' {address}/service/storage/v1/people/

Ctrl-C stops it."""
    print(greeting, flush=True)  # noqa: T201 - for whoever has just started it


def _answers(url: str) -> bool:
    # Only here: workers import this module too.
    import urllib.request
    from urllib.error import URLError

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
    _keep_to_one_processor()
    _let_others_finish()
    threading.Thread(
        target=_end_with, args=(parent.sentinel,), name="parent-watch", daemon=True
    ).start()


def _processors() -> list[int]:
    """Those that this process may run on, where the system tells."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def _keep_to_one_processor() -> None:
    """Stay on the processor that the parent named, where there are workers for all of them.

    Only one thread of a worker computes at a time, and what it needs is in that one's caches.
    """
    if processor := os.environ.pop(_PROCESSOR, None):
        with suppress(OSError):
            os.sched_setaffinity(0, {int(processor)})


def _let_others_finish() -> None:
    """Let threads that wake wait for a processor's current work, as far as the system knows that.

    Else every answer of the database interrupts whoever is computing, which costs a twentieth of
    all processor time. Threads inherit it; their share of the processors stays the same.
    """
    if hasattr(os, "SCHED_BATCH"):
        with suppress(OSError):  # A container may not be allowed to.
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(STOP_SECONDS)
    os._exit(1)
