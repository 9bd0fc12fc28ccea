"""`make bench`: requests per second of the main routes, then the proofs that take minutes.

`python -m bench NAME …` runs some of: figures, inserts, increments, kills, walk, growth,
signups, timing, signins, bigfile, transfer, filekills, events, status, transfers. A server of its
own is started in a temporary directory and stopped again.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from bench import accounts, figures, files, payments, proofs, transfers
from tests.processes import Served

PARTS = {
    "figures": figures.run,
    **proofs.PROOFS,
    **accounts.PROOFS,
    **files.PROOFS,
    **payments.PROOFS,
    **transfers.PROOFS,
}


def main() -> None:
    """Run the parts that are named, or all."""
    chosen = sys.argv[1:] or list(PARTS)
    for name in chosen:
        if name not in PARTS:
            sys.exit(f"bench: {name!r} is not one of {', '.join(PARTS)}")
        with tempfile.TemporaryDirectory(prefix="coglex-bench-") as directory:
            served = Served(Path(directory) / "var", **getattr(PARTS[name], "environment", {}))
            try:
                PARTS[name](served)
            finally:
                served.stop()


main()
