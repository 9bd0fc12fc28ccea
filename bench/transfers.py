"""Export and import of a million documents, against what the bare driver does in the same run."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bson
from bson import json_util
from pymongo import MongoClient

from bench.proofs import told
from core.data.embedded.server import Server
from tests.processes import ROOT, Served, environment

DOCUMENTS = 1_000_000
_BATCH = 1000


def transfer_documents(served: Served) -> str:
    """Export, drop, import: rates, the process's memory, and whether it is all the same."""
    client: MongoClient[dict[str, Any]] = MongoClient(Server(served.data_dir / "mongodb").uri)
    source = client["coglex"]["million"]
    _fill(source)
    before = _digest(source)
    lines = []
    with tempfile.TemporaryDirectory() as directory:
        path, bare = Path(directory) / "million.ndjson", Path(directory) / "bare.ndjson"
        took, rss = _command(served, "export", "million", "-o", str(path))
        bare_took = _timed(lambda: _bare_export(source, bare))
        lines.append(_line("export", took, bare_took, rss))
        source.drop()
        took, rss = _command(served, "import", str(path))
        same = _digest(source) == before
        source.drop()
        bare_took = _timed(lambda: _bare_import(source, bare))
        lines.append(_line("import", took, bare_took, rss))
        packed = Path(directory) / "million.ndjson.gz"
        took, rss = _command(served, "export", "million", "-o", str(packed))
        with gzip.open(packed) as unpacked:
            count = sum(1 for _ in unpacked)
        lines.append(f"export .gz {count / took:,.0f}/s, {packed.stat().st_size / 2**20:.0f} MiB")
        source.drop()
    client.close()
    return f"{DOCUMENTS:,} documents, identical: {same}; " + "; ".join(lines)


def _fill(source: Any) -> None:
    for first in range(0, DOCUMENTS, 10_000):
        source.insert_many(
            {
                "_id": f"k{number:07}",
                "n": number,
                "price": number / 7,
                "name": "x" * 40,
                "tags": ["a", "b", "c"],
                "text": "y" * 220,
                "big": bson.Int64(number),
            }
            for number in range(first, first + 10_000)
        )


def _digest(source: Any) -> str:
    database = source.database
    return str(database.command("dbHash", collections=[source.name])["collections"])


def _command(served: Served, *arguments: str) -> tuple[float, int]:
    """Seconds, and the largest resident memory in MiB, sampled."""
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "manage.py", *arguments, "--json"],
        cwd=ROOT,
        env=environment(served.data_dir),
        stdout=subprocess.PIPE,
    )
    peak = [0]

    def watch() -> None:
        while process.poll() is None:
            try:
                status = Path(f"/proc/{process.pid}/status").read_text()
            except OSError:
                return
            found = [line for line in status.splitlines() if line.startswith("VmRSS")]
            peak[0] = max(peak[0], *(int(line.split()[1]) // 1024 for line in found), 0)
            time.sleep(0.05)

    watcher = threading.Thread(target=watch)
    watcher.start()
    out, _ = process.communicate()
    watcher.join()
    assert process.returncode == 0, out
    assert json.loads(out)
    return time.monotonic() - started, peak[0]


def _timed(work: Callable[[], None]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def _bare_export(source: Any, path: Path) -> None:
    """As the driver's documentation has it."""
    options = json_util.RELAXED_JSON_OPTIONS
    with path.open("w") as file:
        for document in source.find():
            file.write(json_util.dumps(document, json_options=options) + "\n")


def _bare_import(source: Any, path: Path) -> None:
    held = []
    with path.open() as file:
        for line in file:
            held.append(json_util.loads(line))
            if len(held) == _BATCH:
                source.insert_many(held, ordered=False)
                held = []
    if held:
        source.insert_many(held, ordered=False)


def _line(what: str, took: float, bare: float, rss: int) -> str:
    rate, loop = DOCUMENTS / took, DOCUMENTS / bare
    share = f"{rate / loop:.0%} of a bare pymongo loop's {loop:,.0f}/s"
    return f"{what} {rate:,.0f}/s ({share}), at most {rss} MiB"


PROOFS = {"transfers": told(transfer_documents)}
