"""The floors that answer HTTP, on the web server that Coglex runs on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import data
from bench.load import ask
from bench.subjects import Subject, Workload, answers, request, spawn, stop, wait_until
from tests.processes import ROOT, environment, free_port

WSGI = "WSGI application that does nothing"
DJANGO = "Django view"
PROCESSES = 2
# As many as compute at once in a worker of Coglex, see core.turns.
THREADS = 4


@contextmanager
def serve(name: str, module: str, directory: Path) -> Iterator[Subject]:
    """One of them, with as many processes as Coglex."""
    port, output = free_port(), directory / f"{module}.out"
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--http", "1", "--no-ws"]
    command += ["--workers", str(PROCESSES), "--blocking-threads", str(THREADS)]
    command += ["--host", "127.0.0.1", "--port", str(port), f"bench.floors.{module}:application"]
    process = spawn(command, cwd=ROOT, env=environment(directory), output=output)
    try:
        first = request("GET", f"/{data.key(0)}/")
        wait_until(process, output, lambda: ask(port, first)[0] == 200)
        yield Subject(name, process, port, None, {"get": lambda: _get(first)})
    finally:
        stop(process)


def _get(asked: bytes) -> Workload:
    return Workload([asked], answers(lambda found: found == data.document(0)))
