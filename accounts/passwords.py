"""Passwords: whether one is good enough, its hash, and whether it fits.

bcrypt takes a quarter of a second of a processor and lets other threads run meanwhile. It runs in
threads of its own, of low priority, so that the requests of a worker go on.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

import bcrypt
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password, verify_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from accounts.hashers import BCrypt
from core.errors import FieldError, Unavailable, WeakPassword
from core.turns import waiting

Result = TypeVar("Result")

_AT_ONCE = max(1, (os.cpu_count() or 1) // 2)
_MAX_WAITING = 40
_queue = threading.BoundedSemaphore(_MAX_WAITING)


def _be_nice() -> None:
    """Low priority, on any processor. Linux knows both of a thread; others only of a process."""
    if os.uname().sysname == "Linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 5)
        os.sched_setaffinity(0, range(os.cpu_count() or 1))


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="bcrypt", initializer=_be_nice)


os.register_at_fork(after_in_child=_pool.cache_clear)


def _run(work: Callable[[], Result]) -> Result:
    if not _queue.acquire(blocking=False):
        raise Unavailable("Too many sign-ins at once; try again.")
    try:
        with waiting():
            return _pool().submit(work).result()
    finally:
        _queue.release()


def check_strength(password: str, *, key: str, document: dict[str, object]) -> None:
    """Raise WeakPassword unless Django's validators let the password pass."""
    names = {
        name: value
        for name in ("first_name", "last_name", "email")
        if isinstance(value := document.get(name), str)
    }
    user = get_user_model()(**{"email": key, **names, "username": key})
    try:
        validate_password(password, user)
    except ValidationError as error:
        reasons = [
            FieldError(" ".join(each.messages), each.code or "weak_password", "/_password")
            for each in error.error_list
        ]
        raise WeakPassword(" ".join(reason.detail for reason in reasons), errors=reasons) from None


def hash_password(password: str) -> str:
    """The hash to store."""
    return _run(lambda: make_password(password))


def fits(password: str, stored: str | None) -> tuple[bool, bool]:
    """Whether the password has this hash, and whether its hash should be renewed.

    Without a hash (nobody there) the same work is done for nothing.
    """
    against = stored or _decoy()
    correct, renew = _run(lambda: verify_password(password, against))
    return correct and stored is not None, renew


def _decoy() -> str:
    """What looks like a hash, with the rounds of a new one, and is no password's."""
    salt = bcrypt.gensalt(settings.COGLEX_BCRYPT_ROUNDS).decode()
    return f"{BCrypt.algorithm}${salt}{'.' * 31}"
