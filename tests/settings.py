"""The project's settings with an environment of their own: nothing of the machine leaks in."""

from __future__ import annotations

import os
import tempfile

from tests import servers

os.environ.setdefault("DJANGO_SECRET_KEY", "tests-only-Zk3vQ9pT5mW8xR2yB6nL4cJ7hD1gF0sA")
os.environ.setdefault("SERVER_SECRET", "tests-only-server-secret")
# Each process of the tests has its own, also where one started the other.
os.environ["COGLEX_DATA_DIR"] = tempfile.mkdtemp(prefix="coglex-tests-")
os.environ.setdefault("COGLEX_BCRYPT_ROUNDS", "4")
for limit in ("SIGNUP_ADDRESS", "SIGNIN_ADDRESS", "SIGNIN_KEY"):
    os.environ.setdefault(f"COGLEX_RATE_{limit}", "1000000/m")

os.environ["DATABASE_URL"] = servers.DATABASE_URL
os.environ["REDIS_URL"] = servers.REDIS_URL
os.environ["COGLEX_REDIS_PREFIX"] = f"{servers.RUN}_{os.getpid()}"

from coglex_project.settings import *  # noqa: E402, F403

if servers.DATABASE_URL:
    # pytest-django adds the number of the worker.
    DATABASES["default"]["TEST"] = {"NAME": servers.RUN}  # noqa: F405

# Each client of a test would list all static files anew, which takes 20 ms.
WHITENOISE_AUTOREFRESH = True
