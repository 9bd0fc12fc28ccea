"""`python -m bench compare|bulk|scale|page`: measure servers; `python -m bench NAME …`: proofs.

The proofs are inserts, increments, kills, walk, growth, signups, timing, signins, bigfile,
transfer, filekills, events, status, transfers; `proofs` runs all. A server of its own is started
for each in a temporary directory and stopped again.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from bench import accounts, bulk, compare, files, page, payments, proofs, scale, transfers
from tests.processes import Served

MEASURED = {"compare": compare.run, "bulk": bulk.run, "scale": scale.run, "page": page.run}
PROOFS = {
    **proofs.PROOFS,
    **accounts.PROOFS,
    **files.PROOFS,
    **payments.PROOFS,
    **transfers.PROOFS,
}


def main() -> None:
    """Run what is named."""
    name, *arguments = sys.argv[1:] or ["compare"]
    if name in MEASURED:
        MEASURED[name](arguments)
        return
    for chosen in PROOFS if name == "proofs" else [name, *arguments]:
        if chosen not in PROOFS:
            sys.exit(f"bench: {chosen!r} is not one of {', '.join([*MEASURED, 'proofs', *PROOFS])}")
        _prove(chosen)


def _prove(name: str) -> None:
    with tempfile.TemporaryDirectory(prefix="coglex-bench-") as directory:
        served = Served(Path(directory) / "var", **getattr(PROOFS[name], "environment", {}))
        try:
            PROOFS[name](served)
        finally:
            served.stop()


main()
