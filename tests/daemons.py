"""A Redis and a PostgreSQL of a test's own, to be stopped and started while a server needs them."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import psycopg
import pytest
import redis

from tests.processes import eventually, free_port


def program(name: str) -> str:
    """Where a program is; Debian has PostgreSQL's beside the path. Skips where there is none."""
    beside = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    found = shutil.which(name) or (str(beside[0]) if beside else None)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


class OwnRedis:
    """`redis-server` on a port of its own, which keeps nothing when it ends."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._command = [program("redis-server"), "--port", str(self.port), "--save", ""]
        self._command += ["--dir", str(directory)]
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        eventually(self._answers)

    def _answers(self) -> bool:
        with redis.Redis.from_url(self.url, socket_timeout=2) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False

    def stop(self) -> None:
        """End it at once; its connections break."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def freeze(self) -> None:
        """Let it answer nothing, though its connections stay open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on after ``freeze``."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


class OwnPostgreSQL:
    """A cluster of its own, run by a user that is not root, as PostgreSQL demands."""

    def __init__(self, *settings: str) -> None:
        self.port = free_port()
        self.url = f"postgres://owner@127.0.0.1:{self.port}/postgres"
        self._postgres = program("postgres")
        self._directory = Path(tempfile.mkdtemp(prefix="coglex-tests-postgresql-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._user: str | None = None
        if os.geteuid() == 0:
            self._user = next(
                user.pw_name for user in pwd.getpwall() if user.pw_name in {"postgres", "nobody"}
            )
            shutil.chown(self._directory, self._user)
        made = ["-D", str(self._data), "-U", "owner", "-A", "trust", "-N", "-E", "UTF8"]
        subprocess.run(
            [program("initdb"), *made],
            user=self._user,
            cwd="/",
            check=True,
            capture_output=True,
        )
        self._settings = [f"-c{each}" for each in ("fsync=off", *settings)]
        self.start()

    @property
    def _data(self) -> Path:
        return self._directory / "data"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [self._postgres, "-D", str(self._data), "-p", str(self.port), *self._settings]
        command += ["-k", str(self._directory)]
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                user=self._user,
                cwd="/",
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        eventually(self._answers)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """End it at once, as a machine that fails does; its connections break."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(20)
            self._process = None

    def freeze(self) -> None:
        """Let it answer nothing, though its connections stay open."""
        for pid in self._family():
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on after ``freeze``."""
        for pid in self._family():
            os.kill(pid, signal.SIGCONT)

    def _family(self) -> list[int]:
        assert self._process is not None
        main = self._process.pid
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        return [main, *map(int, children)]

    def remove(self) -> None:
        """End it, and leave nothing."""
        self.stop()
        shutil.rmtree(self._directory)

    def query(self, statement: str) -> list[tuple[object, ...]]:
        """The rows of one statement."""
        with psycopg.connect(self.url, autocommit=True, application_name="test") as connection:
            return connection.execute(statement.encode()).fetchall()
