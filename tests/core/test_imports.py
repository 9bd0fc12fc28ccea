"""What workers load, and what only the servers load that need it."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from core.imports import absent
from tests.processes import ROOT

WORKER = """
import os, sys
import coglex_project.wsgi, coglex_project.urls
{more}
wanted = sys.argv[1:]
print(*[name for name in wanted if name in sys.modules])
sys.stdout.flush()
os._exit(0)
"""
# Together they would take as much memory as all that a worker does load.
HEAVY = ("boto3", "drf_spectacular.generators", "gridfs", "magic", "psycopg", "requests", "stripe")


def loaded(*names, more=""):
    """Which of these modules a worker has loaded."""
    ran = subprocess.run(
        [sys.executable, "-c", WORKER.format(more=more), *names],
        cwd=ROOT,
        env={"DJANGO_SETTINGS_MODULE": "tests.production", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


def test_a_worker_loads_no_library_that_it_may_never_need():
    assert loaded("django", *HEAVY) == ["django"]


def test_stripes_library_comes_without_what_guesses_encodings():
    more = "from payments import stripe_api\nstripe_api._sdk()"
    names = ("stripe", "requests", "charset_normalizer", "chardet")
    assert loaded(*names, more=more) == ["stripe", "requests"]


def test_absent_modules_cannot_be_imported_in_the_block_only(monkeypatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with absent("colorsys"), pytest.raises(ImportError):
        import_module("colorsys")
    import_module("colorsys")


def test_modules_that_are_loaded_stay():
    with absent("json"):
        assert import_module("json") is sys.modules["json"]
    assert "json" in sys.modules
