"""Other servers of documents over REST, to compare with: installed outside the tree, once."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "coglex-bench"


def installed(name: str, *commands: list[str]) -> Path:
    """The directory of an installation, made by these commands where there is none."""
    place = CACHE / name
    done = place / "installed"
    if not done.exists():
        print(f"Installing {name} into {place} …", flush=True)
        place.mkdir(parents=True, exist_ok=True)
        for command in commands:
            subprocess.run(command, cwd=place, check=True, stdout=subprocess.DEVNULL)
        done.touch()
    return place
