"""`python -m bench compare --against …`: this checkout and another one, in turn, and their ratios.

Each has its own MongoDB, as it brings it. The other may be a directory or anything that git knows
as a commit, which is then unpacked into a temporary directory.
"""

from __future__ import annotations

import subprocess
import tarfile
from argparse import Namespace
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path

from bench import rounds, workloads
from bench.rounds import Figure
from tests.processes import ROOT

OURS, THEIRS = "this", "other"
_HEAD = (
    f"{'workload':<13} {'other/s':>8} {'this/s':>8} {'ratio':>6} {'of rounds':>11}   "
    f"{'other µs':>8} {'this µs':>8} {'ratio':>6}   {'MongoDB µs':>13} {'ratio':>6}   "
    f"{'p50 ms':>13} {'p99 ms':>13}"
)


def run(options: Namespace, directory: Path) -> None:
    """Print the ratios of each workload."""
    with ExitStack() as stack:
        this = checkout(options.this, directory / "this-checkout")
        other = checkout(options.against, directory / "other-checkout")
        subjects = [
            stack.enter_context(
                workloads.served(name, directory, workers=options.workers, checkout=path)
            )
            for name, path in ((THEIRS, other), (OURS, this))
        ]
        print(f"this: {this}; other: {options.against}; {options.workers} workers, ", end="")
        print(f"{options.rounds} rounds of {options.seconds:g} s; CPU time per request\n{_HEAD}")
        for name in options.only or workloads.WORKLOADS:
            found = rounds.measure(
                subjects, name, directory, rounds=options.rounds, seconds=options.seconds
            )
            print(_line(name, found[THEIRS], found[OURS]), flush=True)


def checkout(what: str, directory: Path) -> Path:
    """A directory that is one already, or a commit's files."""
    if Path(what).is_dir():
        return Path(what).absolute()
    packed = subprocess.run(
        ["git", "archive", "--format=tar", what], cwd=ROOT, check=True, stdout=subprocess.PIPE
    )
    with tarfile.open(fileobj=BytesIO(packed.stdout)) as files:
        files.extractall(directory, filter="data")
    return directory


def _line(name: str, other: Figure, this: Figure) -> str:
    def pair(what: str) -> str:
        return f"{getattr(other, what):.1f} → {getattr(this, what):.1f}"

    pairs = [mine / its for its, mine in zip(other.rates, this.rates, strict=True)]
    rounds_ratios = f"{min(pairs):.2f}–{max(pairs):.2f}"
    database = f"{other.database:.0f} → {this.database:.0f}"
    return (
        f"{name:<13} {other.rate:>8.0f} {this.rate:>8.0f} {this.rate / other.rate:>6.2f} "
        f"{rounds_ratios:>11}   "
        f"{other.cpu:>8.0f} {this.cpu:>8.0f} {this.cpu / other.cpu:>6.2f}   "
        f"{database:>13} {this.database / max(other.database, 1):>6.2f}   "
        f"{pair('p50'):>13} {pair('p99'):>13}"
    )
