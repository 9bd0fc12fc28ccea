"""REST framework without what it has for its test client and for fields that nobody here has.

Called by the WSGI entry and by `manage.py`, before anything else loads it.
"""

from __future__ import annotations

from core.imports import absent


def load() -> None:
    """Load it without these: 17 MB, and a fifth of a command's start."""
    with absent("django.contrib.postgres", "requests", "yaml"):
        import rest_framework.compat  # noqa: F401
