"""A copy of the project that tests put modules into."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from tests.processes import ROOT, environment


class Project:
    """A whole copy of the project, but for what was installed and what is kept."""

    def __init__(self, root, data_dir):
        self.root, self.data_dir = root, data_dir
        left_out = shutil.ignore_patterns(".*", "var", "__pycache__", "images", "bench")
        shutil.copytree(ROOT, root, ignore=left_out)

    def write(self, path, text):
        """A file of the copy."""
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def run(self, *arguments, **more):
        """A Python process in the copy."""
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.root,
            env=environment(self.data_dir, **more),
            capture_output=True,
            text=True,
            timeout=120,
        )

    def manage(self, *arguments):
        """`manage.py …`, which must work."""
        ran = self.run("manage.py", *arguments)
        assert ran.returncode == 0, ran.stderr
        return ran


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "coglex", tmp_path / "var")
