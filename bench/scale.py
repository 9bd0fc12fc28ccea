"""`python -m bench scale`: ten million documents against ten thousand, asked in turn, one by one.

The documents are written past the server, as raw BSON, and are gone with the directory afterwards.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import random
import re
import statistics
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import nsmallest
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import bson
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient, WriteConcern

from bench import coglex, data, machine, page
from bench.coglex import KEY, STORAGE, Running
from bench.load import send
from bench.subjects import request

LARGE, SMALL = "large", "small"
PROCESSES = 2
_BATCH = 10_000
_KEYS = 20_000
# A longer key than elsewhere; the text is as much shorter.
_TEXT = "y" * 222


def run(arguments: list[str]) -> None:
    """Fill, measure, print, write bench/results/scale.json and the page."""
    parser = argparse.ArgumentParser(prog="python -m bench scale", description=__doc__)
    parser.add_argument("--documents", type=int, default=10_000_000)
    parser.add_argument("--deep", type=int, default=10_000, help="the page that is walked to")
    parser.add_argument("--times", type=int, default=500, help="requests of each kind")
    options = parser.parse_args(arguments)
    found: dict[str, Any] = machine.described() | {"documents": options.documents}
    with (
        tempfile.TemporaryDirectory(prefix="coglex-bench-") as directory,
        coglex.serve("scale", Path(directory), workers=2) as running,
    ):
        uri = coglex.embedded(running.data_dir)[0]
        for name, count in ((SMALL, data.COUNT), (LARGE, options.documents)):
            started = time.monotonic()
            fill(uri, running.database.name, name, count)
            stats = running.database.command("collStats", name)
            found[name] = {"documents": stats["count"], "bytes": stats["size"]}
            print(f"{name}: {count:,} documents in {time.monotonic() - started:.0f} s", flush=True)
        found["deep"] = options.deep
        found["kinds"] = {}
        for kind in _kinds(running, options):
            found["kinds"][kind.name] = made = measure(running.port, kind)
            print(told(kind.name, made), flush=True)
    if options.documents == parser.get_default("documents"):
        page.SCALE.parent.mkdir(exist_ok=True)
        page.SCALE.write_text(json.dumps(found, indent=1) + "\n")
        if page.LATEST.exists():
            page.write()


@dataclass(frozen=True)
class Kind:
    """Requests of one kind to both collections, how often, and what is right."""

    name: str
    requests: dict[str, Iterator[bytes]]
    times: int
    check: Callable[[str, Any], bool]


def measure(port: int, kind: Kind) -> dict[str, float]:
    """Median times in ms of both collections, asked in turn over one connection."""
    taken: dict[str, list[float]] = {SMALL: [], LARGE: []}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.connect()
    for number in range(kind.times + 10):
        for name, seen in taken.items():
            raw = next(kind.requests[name])
            started = time.perf_counter()
            status, body = send(connection, raw)
            spent = time.perf_counter() - started
            right = 200 <= status < 300 and kind.check(name, json.loads(body))
            assert right, f"{kind.name}, {name}: {status} {body[:500]!r}"
            if number >= 10 or kind.times < 100:
                seen.append(spent * 1000)
    connection.close()
    small, large = (statistics.median(taken[name]) for name in (SMALL, LARGE))
    return {SMALL: round(small, 3), LARGE: round(large, 3), "ratio": round(large / small, 3)}


def told(name: str, found: dict[str, float]) -> str:
    return f"{name:<28} {found[SMALL]:>9.2f} ms {found[LARGE]:>9.2f} ms, {found['ratio']:.2f} times"


def _kinds(running: Running, options: argparse.Namespace) -> list[Kind]:
    sizes = {SMALL: data.COUNT, LARGE: options.documents}
    chance = random.Random(1)

    def every(make: Callable[[str, int], bytes]) -> dict[str, Iterator[bytes]]:
        return {
            name: cycle([make(name, chance.randrange(count)) for _ in range(_KEYS)])
            for name, count in sizes.items()
        }

    def asked(name: str, **fields: object) -> bytes:
        return request("GET", f"{STORAGE}/{name}/?{urlencode(fields)}", headers=KEY)

    def filtered(name: str, number: int) -> bytes:
        query = json.dumps({"group": number % data.GROUPS})
        return asked(name, query=query, sort="price", limit=20)

    deep = {SMALL: min(250, options.deep), LARGE: options.deep}
    links = {name: walk(running.port, name, pages) for name, pages in deep.items()}

    def counted(name: str, **query: object) -> bytes:
        return asked(name, query=json.dumps({"group": 7, **query}), count="true", limit=1)

    def hundred(name: str) -> bytes:
        """As many as are in the group of the small collection: the cheapest."""
        prices = map(_price, range(7, sizes[name], data.GROUPS))
        return counted(name, price={"$lte": nsmallest(data.COUNT // data.GROUPS, prices)[-1]})

    times = options.times

    def fixed(made: dict[str, bytes]) -> dict[str, Iterator[bytes]]:
        return {name: cycle([raw]) for name, raw in made.items()}

    def twenty(_: str, found: Any) -> bool:
        return len(found) == 20

    def one(_: str, found: Any) -> bool:
        return len(found) == 1

    return [
        Kind(
            "GET by id",
            every(lambda name, n: request("GET", f"{STORAGE}/{name}/{key(n)}/", headers=KEY)),
            times,
            lambda _, found: found["text"] == _TEXT,
        ),
        Kind("indexed filter, sorted", every(filtered), times, twenty),
        Kind("page 1", fixed({name: asked(name, limit=20) for name in sizes}), times, twenty),
        Kind("deep page by next link", fixed(links), times, twenty),
        Kind(
            "count of all",
            fixed({name: asked(name, count="true", limit=1) for name in sizes}),
            20,
            one,
        ),
        Kind(
            "count of 100 by an index", fixed({name: hundred(name) for name in sizes}), times, one
        ),
        Kind("count of a hundredth", fixed({name: counted(name) for name in sizes}), 20, one),
        Kind(
            "POST one",
            every(lambda name, n: request("POST", f"{STORAGE}/{name}/", data.fields(n), KEY)),
            times,
            lambda _, found: found["inserted_count"] == 1,
        ),
    ]


def walk(port: int, name: str, pages: int) -> bytes:
    """The request for a page, found by following next links from the first."""
    path = f"{STORAGE}/{name}/?limit=20"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    for _ in range(pages - 1):
        connection.request("GET", path, headers=KEY)
        answer = connection.getresponse()
        answer.read()
        link = re.match(r'<(.+)>; rel="next"', answer.headers["Link"] or "")
        assert link, f"{name}: no next link; {answer.status}"
        path = link[1]
    connection.close()
    return request("GET", path, headers=KEY)


def key(number: int) -> str:
    return f"k{number:07}"


def fill(uri: str, database: str, name: str, count: int) -> None:
    """Write so many documents from several processes, then the index."""
    parts = [
        (uri, database, name, start, min(start + _BATCH * 10, count))
        for start in range(0, count, _BATCH * 10)
    ]
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        pool.starmap(_write, parts, chunksize=1)
    with MongoClient[dict[str, Any]](uri) as client:
        collection = client[database][name]
        collection.create_index([("group", 1), ("price", 1), ("_id", 1)])
        assert collection.estimated_document_count() == count


def _write(uri: str, database: str, name: str, start: int, end: int) -> None:
    with MongoClient[RawBSONDocument](uri, document_class=RawBSONDocument) as client:
        target = client[database].get_collection(name, write_concern=WriteConcern(w=1))
        for first in range(start, end, _BATCH):
            target.insert_many(_raw(first, min(first + _BATCH, end)), ordered=False)


def _price(number: int) -> float:
    return (number * 7919 % 10_000_019) / 4


def _raw(first: int, end: int) -> list[RawBSONDocument]:
    """Documents as ``data.fields`` has them, made by changing the bytes of one."""
    model = {"_id": key(0), **data.fields(0), "text": _TEXT}
    model |= {"n": 0x11111111, "group": 0x22222222, "price": 1.25}
    raw = bytearray(bson.encode(model))
    assert len(raw) == data.SIZE
    places = [
        raw.index(key(0).encode()),
        raw.index(struct.pack("<i", 0x11111111)),
        raw.index(struct.pack("<i", 0x22222222)),
        raw.index(struct.pack("<d", 1.25)),
    ]
    made = []
    for number in range(first, end):
        raw[places[0] : places[0] + 8] = key(number).encode()
        struct.pack_into("<i", raw, places[1], number)
        struct.pack_into("<i", raw, places[2], number % data.GROUPS)
        struct.pack_into("<d", raw, places[3], _price(number))
        made.append(RawBSONDocument(bytes(raw)))
    return made
