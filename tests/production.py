"""The settings of a production server, for `manage.py check --deploy`."""

from __future__ import annotations

import os
import secrets
import tempfile

os.environ["COGLEX_DATA_DIR"] = tempfile.mkdtemp(prefix="coglex-check-")
os.environ["DJANGO_SECRET_KEY"] = secrets.token_urlsafe(50)
os.environ["SERVER_SECRET"] = secrets.token_urlsafe(36)
os.environ["DJANGO_ALLOWED_HOSTS"] = "api.example.com"
os.environ["COGLEX_HTTPS"] = "on"
os.environ["COGLEX_PUBLIC_URL"] = "https://api.example.com"

from coglex_project.settings import *  # noqa: F403
