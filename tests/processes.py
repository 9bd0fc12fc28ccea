"""Real processes for tests: the project's commands with an environment of their own."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests import servers

ROOT = Path(__file__).resolve().parent.parent
# httpx tells of every request, and pytest would show it.
logging.getLogger("httpx").setLevel(logging.WARNING)
SECRET = "a-secret-for-processes-of-tests"


def environment(data_dir: Path, **more: str) -> dict[str, str]:
    """The environment of a process that shares nothing with this one but the installation."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {
        **kept,
        "PYTHONUNBUFFERED": "1",
        "DJANGO_SECRET_KEY": "Zk3vQ9pT5mW8xR2yB6nL4cJ7hD1gF0sA",
        "SERVER_SECRET": SECRET,
        "COGLEX_DATA_DIR": str(data_dir),
        **servers.own(data_dir),
        **more,
    }


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def eventually(check: Callable[[], Any], seconds: float = 60) -> Any:
    """The first true value of ``check``, or AssertionError after a while."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := check():
            return value
        time.sleep(0.02)
    raise AssertionError(f"still not: {check}")


def is_running(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


class Served:
    """`manage.py serve --setup` in a process group of its own."""

    root = ROOT

    def __init__(self, data_dir: Path, **more: str) -> None:
        self.data_dir, self.more = data_dir, more
        self.port = free_port()
        self.output = data_dir.parent / f"{data_dir.name}-{self.port}.out"
        with self.output.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "serve", "--setup"],
                cwd=self.root,
                env=environment(data_dir, PORT=str(self.port), **more),
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self.url = f"http://127.0.0.1:{self.port}"
        self.storage = f"{self.url}/service/storage/v1"
        self.http = httpx.Client(headers={"X-API-Key": SECRET}, timeout=30)
        try:
            eventually(self.answers)
        except AssertionError:
            self.stop()
            raise AssertionError(self.output.read_text()) from None

    def answers(self) -> bool:
        """Whether the server is up; raises when its process has ended."""
        assert self.process.poll() is None, self.output.read_text()
        try:
            return self.http.get(f"{self.url}/healthz").status_code == 200
        except httpx.TransportError:
            return False

    def mongod(self) -> int:
        """The pid of its MongoDB."""
        return int((self.data_dir / "mongodb" / "mongod.pid").read_text())

    def children(self) -> list[int]:
        """The pids of the workers."""
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        found = []
        for pid in map(int, listed.split()):
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if b"spawn_main" in command:
                found.append(pid)
        return found

    def stop(self, sent: int = signal.SIGINT) -> int:
        """Send a signal as a terminal would, to the whole group; returns the exit status."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, sent)
        try:
            return self.process.wait(30)
        finally:
            self.http.close()
