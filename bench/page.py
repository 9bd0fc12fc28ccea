"""docs/performance.md and its chart, written from the results of runs; `python -m bench page`."""

from __future__ import annotations

import json
from typing import Any

from bench import chart
from bench.floors import loops, servers
from bench.peers import eve, parse
from bench.workloads import TITLES
from tests.processes import ROOT

RESULTS = ROOT / "bench" / "results"
LATEST, SCALE = RESULTS / "latest.json", RESULTS / "scale.json"
PAGE, CHART = ROOT / "docs" / "performance.md", ROOT / "docs" / "images" / "performance.svg"
COGLEX, ONE_WORKER, OWN = "Coglex", "Coglex, 1 worker", "Coglex, own MongoDB"
Found = dict[str, Any]

_HOW = f"""## How it is measured
`make bench` measures it all again and writes this page. Servers run as in production:

- Coglex by `manage.py serve`, with metrics, its log in a file, and API keys checked.
- {parse.NAME} {parse.VERSION} as its own cluster of {parse.PROCESSES} processes with its default
  settings, asked with its REST API key; its classes let everybody do what is measured.
- {eve.NAME} {eve.VERSION} on gunicorn {eve.GUNICORN} with {eve.PROCESSES} processes of
  {eve.THREADS} threads, without authentication, links and counts.

All use one MongoDB over TCP, with the options of the embedded one; "own MongoDB" is Coglex with
the embedded one, over its socket. Writes are acknowledged by all when they are in the journal.

The rounds of a workload go over all servers in turn; figures are medians of rounds, ratios those
of medians. A round of sign-ins takes at least half a minute. First, an answer of every server is
held against the documents that it has to hold; a single answer that is no success ends the run. CPU
time is that of all of a server's processes. PSS counts memory that processes share once.

`python -m bench compare --against COMMIT` compares two checkouts, `python -m bench scale` measures
many documents, and `python -m bench NAME` runs a proof, such as `kills`.
[What each change brought](optimizations.md) is a page of its own.
"""


def run(_: list[str]) -> None:
    """Write the page again from the results that there are."""
    write()


def write() -> None:
    """The page and the chart."""
    found = json.loads(LATEST.read_text())
    figures = found["figures"]
    where = f"{found['machine']['processor']}, {found['machine']['cores']} cores"
    note = f"{where}; {found['connections']} connections; {found['date'][:10]}"
    CHART.write_text(chart.drawn(figures, [COGLEX, parse.NAME, eve.NAME], TITLES, note))
    sections = [
        _head(found, where),
        _peers(figures),
        _own(figures),
        _floors(figures, found["bulk"]),
        _memory(found["memory"]),
        _scale(),
        _HOW,
    ]
    PAGE.write_text("\n".join(section for section in sections if section))
    print(f"written: {PAGE.relative_to(ROOT)}, {CHART.relative_to(ROOT)}")


def _head(found: Found, where: str) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    changed = " with changes" if found["changed"] else ""
    return f"""# Performance

![Requests a second of Coglex, {parse.NAME} and {eve.NAME}](images/performance.svg)

Measured on {found["date"][:10]} at commit {found["commit"]}{changed}: {where},
{int(found["machine"]["memory"].split()[0]) / 2**20:.0f} GB of memory, shared by the server, MongoDB
and what makes the load; the load average was {found["machine"]["load before"]} when it began.
10,000 documents of 378 bytes, {found["connections"]} connections that stay open, medians of
{found["rounds"]} rounds of {found["seconds"]} s.
{versions.replace("load wrk", "wrk")}.
"""


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _peers(figures: Found) -> str:
    peers = [parse.NAME, eve.NAME]
    rates, costs = [], []
    for name, by in figures.items():
        if any(peer not in by for peer in peers):
            continue
        three = [by[COGLEX], *(by[peer] for peer in peers)]
        ratios = [f"{by[COGLEX]['rate'] / by[peer]['rate']:.1f} ×" for peer in peers]
        rates.append([TITLES[name], *(f"{each['rate']:,.0f}" for each in three), *ratios])
        costs.append([TITLES[name], *(f"{each['cpu']:,.0f}" for each in three)])
    against = [f"Coglex / {peer}" for peer in peers]
    return (
        "## Beside other servers\nRequests a second, and how many times that Coglex does:\n\n"
        + _table(["", COGLEX, *peers, *against], rates)
        + "\nCPU time of the server in µs a request:\n\n"
        + _table(["", COGLEX, *peers], costs)
    )


def _own(figures: Found) -> str:
    rows = []
    for name, by in figures.items():
        ours = by[COGLEX]
        rows.append(
            [
                TITLES[name],
                *(_rate(by[each]["rate"]) for each in (COGLEX, ONE_WORKER, OWN)),
                f"{ours['p50']:,.1f}",
                f"{ours['p99']:,.1f}",
                f"{ours['cpu']:,.0f}",
                f"{ours['database']:,.0f}",
            ]
        )
    head = ["", "requests/s", "1 worker", "own MongoDB", "p50 ms", "p99 ms"]
    return (
        "## Everything that was asked\n"
        "Of 2 workers where it does not say otherwise; CPU time in µs a request, of Coglex "
        "and of MongoDB:\n\n" + _table([*head, "CPU", "MongoDB"], rows)
    )


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"


def _floors(figures: Found, bulk: Found) -> str:
    rows = []
    for name, by in figures.items():
        for floor in (servers.WSGI, servers.DJANGO, loops.DRIVER, loops.BCRYPT):
            if floor in by:
                row = [f"{TITLES[name]}: {_FLOORS[floor]}", _rate(by[floor]["rate"])]
                rows.append([*row, f"{by[floor]['cpu']:,.0f}", f"{by[COGLEX]['cpu']:,.0f}"])
    return (
        "## What it stands on\nThe same work without Coglex, in the same run; CPU time in µs a "
        "request:\n\n"
        + _table(["", "requests/s", "CPU", "CPU of Coglex"], rows)
        + f"\n10,000 documents in one request: {bulk['coglex']:,.0f} documents a second, "
        f"{bulk['coglex'] / bulk['driver']:.0%} of one `insert_many` of the bare driver "
        f"({bulk['driver']:,.0f}).\n"
    )


_FLOORS = {
    servers.WSGI: "a WSGI application on granian that does nothing",
    servers.DJANGO: "a Django view on granian without middleware",
    loops.DRIVER: "pymongo in a loop, 2 processes",
    loops.BCRYPT: "one bcrypt check, 2 processes",
}


def _memory(held: Found) -> str:
    names = [name for name in (COGLEX, ONE_WORKER, parse.NAME, eve.NAME) if name in held]
    rows = [
        [name, *(f"{held[name][kind] / 1024:,.0f}" for kind in ("rss", "pss"))] for name in names
    ]
    return "## Memory\nOf the whole server after all of this, in MB, without MongoDB:\n\n" + _table(
        ["", "RSS", "PSS"], rows
    )


def _scale() -> str:
    if not SCALE.exists():
        return ""
    found = json.loads(SCALE.read_text())
    rows = [
        [name, *(f"{made[size]:,.2f}" for size in ("small", "large")), f"{made['ratio']:.2f} ×"]
        for name, made in found["kinds"].items()
    ]
    many, few = (f"{found[size]['documents']:,}" for size in ("large", "small"))
    return (
        f"## Many documents\nMeasured on {found['date'][:10]}: milliseconds of a request "
        f"with {few} and with {many} documents, medians, asked in turn over one connection. "
        f"The cache of MongoDB has 0.25 GB, the documents {found['large']['bytes'] / 1e9:.1f} GB. "
        f"The deep page is number {found['deep']:,} of 20 documents each; of the small "
        "collection, number 250.\n\n" + _table(["", few, many, ""], rows)
    )
