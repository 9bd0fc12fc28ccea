"""Who uses the embedded server, by locks that the kernel releases however a process ends.

``users.lock`` is held, shared, by every process that uses the server; whoever gets it for itself
alone is the last. ``start.lock`` is held while somebody starts or stops it. There is no owner:
a server whose users were killed goes on, and the next one takes it over.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from core.data.embedded.server import EmbeddedError, Server

WATCH_SECONDS = 0.25
MAX_BACKOFF_SECONDS = 30

log = structlog.get_logger("coglex.mongodb")


@dataclass
class _Claim:
    server: Server
    users: int


_claims: dict[Path, _Claim] = {}
_lock = threading.Lock()


def attach(data_dir: Path, *, test_commands: bool = False, asking: bool = True) -> str:
    """Use the server of this data directory until ``release``, starting it if need be.

    Returns its URI. Cheap when this process uses it already. One that runs is asked whether it
    takes writes, unless ``asking`` is off. Raises EmbeddedError.
    """
    root = data_dir / "mongodb"
    with _lock:
        if root not in _claims:
            server = Server(root, test_commands)
            _claims[root] = _Claim(server, _claim(server, asking=asking))
        return _claims[root].server.uri


def _claim(server: Server, *, asking: bool) -> int:
    try:
        server.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        server.root.chmod(0o700)
    except OSError as error:
        raise _unusable(server.root, error) from None
    with _starting(server):
        users = _open(server.root / "users.lock")
        fcntl.flock(users, fcntl.LOCK_SH)
        try:
            _ensure_running(server, asking=asking)
        except BaseException:
            _leave(server, users)
            raise
    return users


def _ensure_running(server: Server, *, asking: bool = True) -> None:
    """Start the server, or take over one that lives; called under the start lock."""
    if server.is_alive():
        if server.is_reachable() and (not asking or server.wait_until_primary()):
            return
        server.stop()
    server.start()


def release() -> None:
    """Stop using all servers; the last user of one stops it. Raises EmbeddedError."""
    for root in list(_claims):
        _release(root)


def _release(root: Path) -> None:
    with _lock:
        claim = _claims.pop(root, None)
        if claim is None:
            return
        if not root.exists():
            # mongod ends by itself when its files are gone.
            os.close(claim.users)
            return
        with _starting(claim.server):
            _leave(claim.server, claim.users)


def _leave(server: Server, users: int) -> None:
    """Give up a claim, and stop the server if it was the last; called under the start lock."""
    os.close(users)
    if _is_unused(server):
        server.stop()


def _is_unused(server: Server) -> bool:
    users = _open(server.root / "users.lock")
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(users)
    return True


@contextmanager
def supervise(data_dir: Path) -> Iterator[str]:
    """Use the server, and start it again whenever it dies, until the block ends."""
    root = data_dir / "mongodb"
    uri = attach(data_dir, asking=False)
    server = _claims[root].server
    ended = threading.Event()
    watch = threading.Thread(target=_watch, args=(server, ended), name="mongod-watch", daemon=True)
    watch.start()
    try:
        yield uri
    finally:
        ended.set()
        watch.join()
        _release(root)


def _watch(server: Server, ended: threading.Event) -> None:
    pause = WATCH_SECONDS
    while not ended.wait(pause):
        try:
            if not (server.is_alive() and server.is_reachable()):
                log.warning("mongodb_died", action="starting it again")
                # A directory that is gone is not made anew: that would serve an empty database.
                with _starting(server):
                    _ensure_running(server)
            pause = WATCH_SECONDS
        except (EmbeddedError, OSError) as error:
            pause = min(max(1, pause * 2), MAX_BACKOFF_SECONDS)
            log.error("mongodb_cannot_start", reason=str(error), next_try_seconds=pause)


@contextmanager
def _starting(server: Server) -> Iterator[None]:
    descriptor = _open(server.root / "start.lock")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable(path, error) from None


def _unusable(path: Path, error: OSError) -> EmbeddedError:
    return EmbeddedError(
        f"Cannot use {path}: {error.strerror}. Set COGLEX_DATA_DIR to a directory that is yours."
    )


def _release_at_exit() -> None:
    try:
        release()
    except EmbeddedError as error:
        log.error("mongodb_not_stopped", reason=str(error))


def _forget() -> None:
    """After a fork: the claim is the parent's; the child makes its own when it needs one."""
    global _lock  # noqa: PLW0603
    _lock = threading.Lock()
    for claim in _claims.values():
        with suppress(OSError):
            os.close(claim.users)
    _claims.clear()


os.register_at_fork(after_in_child=_forget)
atexit.register(_release_at_exit)
