"""Where and on what a run was made: for its results' file."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from bench.load import generator
from bench.peers import eve, parse
from core.data.embedded.server import find_mongod
from tests.processes import ROOT

_PACKAGES = ("Django", "djangorestframework", "granian", "pymongo", "bcrypt")


def described() -> dict[str, object]:
    """The date, the commit, the machine and the versions of everything that is measured."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": said("git", "rev-parse", "--short", "HEAD"),
        "changed": bool(said("git", "status", "--porcelain", "--untracked-files=no")),
        "machine": {
            "processor": _first("/proc/cpuinfo", "model name") or platform.processor(),
            "cores": os.cpu_count(),
            "memory": _first("/proc/meminfo", "MemTotal"),
            "system": platform.platform(),
            "load before": round(os.getloadavg()[0], 2),
        },
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    found = {"Python": platform.python_version()}
    found |= {name: importlib.metadata.version(name) for name in _PACKAGES}
    found["MongoDB"] = said(str(find_mongod()), "--version").split("\n")[0].split(" v")[-1]
    found[parse.NAME] = parse.VERSION
    if shutil.which("node"):
        found["Node"] = said("node", "--version").removeprefix("v")
    return found | {eve.NAME: eve.VERSION, "gunicorn": eve.GUNICORN, "load": generator()}


def said(*command: str) -> str:
    """What a command prints; nothing when it fails."""
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return ran.stdout.strip()


def _first(path: str, name: str) -> str:
    lines = Path(path).read_text().splitlines() if Path(path).exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")
