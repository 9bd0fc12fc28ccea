"""What is measured: a server with its process tree, its MongoDB, and the requests it is asked.

Built by ``coglex``, ``floors`` and ``peers``; measured by ``rounds``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bench.load import Load, Replay, ask, drive
from bench.usage import Memory, cpu_seconds, memory_of, tree
from tests.processes import eventually

Check = Callable[[bytes], None]
# A server is at rest again when it uses less of a core than this, or after so many looks.
_REST, _LOOKS = 0.1, 50


@dataclass(frozen=True)
class Workload:
    """Requests that are asked in turn, and what a right answer to the first of them is.

    ``own`` and ``slow`` are as for ``load.Replay``; ``before`` is called before every round.
    """

    requests: list[bytes]
    check: Check
    own: bool = False
    slow: bool = False
    before: Callable[[], Any] = lambda: None


@dataclass(frozen=True)
class Sample:
    """One round; CPU time in µs a request, of the server and of MongoDB."""

    load: Load
    cpu: float
    database: float


class Measurable(Protocol):
    """What rounds go over: servers, and bare loops to compare them with."""

    name: str

    def has(self, workload: str) -> bool: ...

    def verify(self, workload: str, directory: Path) -> None:
        """Raise AssertionError unless it answers rightly."""

    def warm_up(self, workload: str, directory: Path, seconds: float) -> None:
        """Let it run, and look at every answer."""

    def sample(self, workload: str, directory: Path, seconds: float, start: int) -> Sample: ...

    def memory(self) -> Memory | None: ...


@dataclass
class Subject:
    """A running server; ``build`` makes a workload on first use."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    database_pid: int | None
    build: dict[str, Callable[[], Workload]]
    _built: dict[str, tuple[Workload, Replay]] = field(default_factory=dict)

    def has(self, workload: str) -> bool:
        return workload in self.build

    def verify(self, workload: str, directory: Path) -> None:
        made, _ = self._workload(workload, directory)
        made.before()
        status, body = ask(self.port, made.requests[0])
        assert 200 <= status < 300, f"{self.name}, {workload}: {status} {body[:1000]!r}"
        made.check(body)

    def warm_up(self, workload: str, directory: Path, seconds: float) -> None:
        made, replay = self._workload(workload, directory)
        made.before()
        drive(self.port, replay, seconds, strict=True)
        _rest(tree(self.process.pid))

    def sample(self, workload: str, directory: Path, seconds: float, start: int) -> Sample:
        made, replay = self._workload(workload, directory)
        made.before()
        pids = tree(self.process.pid)
        stored = [self.database_pid] if self.database_pid else []
        before = cpu_seconds(pids), cpu_seconds(stored)
        load = drive(self.port, replay, seconds, start)
        after = cpu_seconds(pids), cpu_seconds(stored)
        _rest(pids)
        cpu, database = (
            (late - early) * 1e6 / load.requests for early, late in zip(before, after, strict=True)
        )
        return Sample(load, cpu, database)

    def memory(self) -> Memory | None:
        return memory_of(tree(self.process.pid))

    def _workload(self, name: str, directory: Path) -> tuple[Workload, Replay]:
        """A workload, and its requests in a file."""
        if name not in self._built:
            made = self.build[name]()
            path = directory / f"{self.name}-{name}".replace(" ", "-").replace("/", "-")
            replay = Replay.write(path, made.requests, own=made.own, slow=made.slow)
            self._built[name] = made, replay
        return self._built[name]


def _rest(pids: list[int]) -> None:
    """Wait until a server has done with what was under way when the load ended."""
    used = cpu_seconds(pids)
    for _ in range(_LOOKS):
        time.sleep(0.1)
        before, used = used, cpu_seconds(pids)
        if used - before <= _REST * 0.1:
            return


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process that was started in a session of its own."""
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def spawn(
    command: list[str], *, cwd: Path, env: dict[str, str], output: Path
) -> subprocess.Popen[bytes]:
    """A server's process in a session of its own, its output in a file as in production."""
    with output.open("wb") as out:
        return subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )


def wait_until(process: subprocess.Popen[bytes], output: Path, check: Callable[[], bool]) -> None:
    """Wait for a server that was started; raises with its output when it ends or never answers."""

    def ready() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"a server ended:\n{output.read_text()[-3000:]}")
        try:
            return check()
        except OSError:
            return False

    try:
        eventually(ready, 60)
    except AssertionError:
        stop(process)
        raise RuntimeError(f"a server does not answer:\n{output.read_text()[-3000:]}") from None


def request(
    method: str, path: str, body: object = None, headers: dict[str, str] | None = None
) -> bytes:
    """The bytes of a request."""
    raw = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body is not None:
        if "Content-Type" not in (headers or {}):
            lines.append("Content-Type: application/json")
        lines.append(f"Content-Length: {len(raw)}")
    return "\r\n".join([*lines, "", ""]).encode() + raw


def answers(check: Callable[[Any], bool]) -> Check:
    """A check of an answer's JSON."""

    def checked(body: bytes) -> None:
        if not check(json.loads(body)):
            raise AssertionError(f"not the answer that was expected: {body[:500]!r}")

    return checked
