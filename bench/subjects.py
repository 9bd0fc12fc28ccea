"""What is measured: a server with its process tree, its MongoDB, and the requests it is asked.

Built by ``coglex``, ``floors`` and ``peers``; measured by ``rounds``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.load import Replay
from tests.processes import eventually

Check = Callable[[bytes], None]


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
    # How many documents an answer stands for, for rates by the document.
    documents: int = 1


@dataclass
class Subject:
    """A running server; ``build`` makes a workload on first use."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    database_pid: int
    build: dict[str, Callable[[], Workload]]
    built: dict[str, tuple[Workload, Replay]] = field(default_factory=dict)

    def workload(self, name: str, directory: Path) -> tuple[Workload, Replay]:
        """A workload, and its requests in a file."""
        if name not in self.built:
            made = self.build[name]()
            path = directory / f"{self.name}-{name}".replace(" ", "-").replace("/", "-")
            self.built[name] = made, Replay.write(path, made.requests, own=made.own, slow=made.slow)
        return self.built[name]

    def stop(self) -> None:
        """End it as a terminal would, by force when it does not listen."""
        stop(self.process)


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
