"""`make bench`: the table of all servers; `python -m bench compare --against`: of two checkouts."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from bench import against
from bench.workloads import WORKLOADS


def run(arguments: list[str]) -> None:
    """Measure what the arguments say."""
    options = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="coglex-bench-") as directory:
        against.run(options, Path(directory))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench compare", description=__doc__)
    parser.add_argument("--against", metavar="CHECKOUT", help="a directory or a commit")
    parser.add_argument("--only", nargs="+", metavar="WORKLOAD", choices=list(WORKLOADS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--workers", type=int, default=2)
    return parser
