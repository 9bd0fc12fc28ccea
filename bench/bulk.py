"""`python -m bench bulk`: 10,000 documents in one request, against the bare driver in turn."""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from bench import coglex, data
from bench.coglex import KEY, STORAGE, Running
from bench.load import ask
from bench.subjects import request

_RAW = request("POST", f"{STORAGE}/bulk/", [data.fields(n) for n in range(data.COUNT)], KEY)


def run(arguments: list[str]) -> None:
    """Print the rates of both."""
    parser = argparse.ArgumentParser(prog="python -m bench bulk", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="coglex-bench-") as directory,
        coglex.serve("coglex", Path(directory), workers=2) as running,
    ):
        print(told(measure(running, options.rounds)))


def measure(running: Running, rounds: int) -> dict[str, float]:
    """Documents a second of Coglex and of one ``insert_many``, medians of rounds in turn."""
    bulk = running.database["bulk"]
    taken: dict[str, list[float]] = {"coglex": [], "driver": []}
    for _ in range(rounds):
        bulk.drop()
        started = time.perf_counter()
        body = _post(running)
        taken["coglex"].append(time.perf_counter() - started)
        assert len(json.loads(body)["inserted_ids"]) == data.COUNT
        assert bulk.count_documents({}) == data.COUNT
        bulk.drop()
        documents = [data.fields(number) for number in range(data.COUNT)]
        started = time.perf_counter()
        bulk.insert_many(documents)
        taken["driver"].append(time.perf_counter() - started)
    return {name: round(data.COUNT / statistics.median(found)) for name, found in taken.items()}


def told(found: dict[str, float]) -> str:
    return (
        f"{data.COUNT:,} documents in one request: {found['coglex']:,.0f} documents/s, "
        f"insert_many of the bare driver {found['driver']:,.0f}: "
        f"{found['coglex'] / found['driver']:.0%}"
    )


def _post(running: Running) -> bytes:
    status, body = ask(running.port, _RAW)
    assert status == 201, body[:500]
    return body
