"""The project's settings with an environment of their own: nothing of the machine leaks in."""

from __future__ import annotations

import os
import tempfile

os.environ.setdefault("DJANGO_SECRET_KEY", "tests-only-Zk3vQ9pT5mW8xR2yB6nL4cJ7hD1gF0sA")
os.environ.setdefault("SERVER_SECRET", "tests-only-server-secret")
# Each process of the tests has its own, also where one started the other.
os.environ["COGLEX_DATA_DIR"] = tempfile.mkdtemp(prefix="coglex-tests-")
os.environ.setdefault("COGLEX_BCRYPT_ROUNDS", "4")
for limit in ("SIGNUP_ADDRESS", "SIGNIN_ADDRESS", "SIGNIN_KEY"):
    os.environ.setdefault(f"COGLEX_RATE_{limit}", "1000000/m")

from coglex_project.settings import *  # noqa: E402, F403
