"""The secrets that docs/docker.md makes."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tests.processes import ROOT


def documented_block(page, first):
    """The shell lines of a page that begin with ``first``."""
    blocks = re.findall(r"^```\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    return next(block for block in blocks if block.startswith(first))


@pytest.fixture
def secrets(tmp_path):
    """The directory that docs/docker.md makes."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    lines = documented_block("docs/docker.md", "mkdir -m 700 secrets")
    subprocess.run(["sh", "-ec", lines], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path / "secrets"
