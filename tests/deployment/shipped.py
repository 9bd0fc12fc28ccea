"""The files that are shipped to run the server in production, read for tests."""

from __future__ import annotations

import json
import re
import shutil

import httpx
import pytest
import yaml

from tests.processes import ROOT

DEPLOY = ROOT / "docs/deploy"
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text()
UNIT = (DEPLOY / "coglex.service").read_text()
OURS = ("coglex", "migrate")


def documented_settings():
    rows = re.findall(r"^\| (`[^|]*)", (ROOT / "docs/settings.md").read_text(), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([A-Z0-9_]+)`", row)}


def instruction(name):
    """What follows ``name`` in the Dockerfile, a JSON list."""
    return json.loads(re.search(rf"^{name} (\[.*\])$", DOCKERFILE, re.MULTILINE)[1])


def needs(*programs):
    missing = [name for name in programs if shutil.which(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def answers(http, url, process):
    assert process.poll() is None, process.stdout.read() if process.stdout else ""
    try:
        return http.get(url).status_code == 200
    except httpx.TransportError:
        return False
