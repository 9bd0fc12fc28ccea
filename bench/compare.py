"""`make bench`: the table of all servers; `python -m bench compare --against`: of two checkouts.

A whole run writes bench/results/latest.json, and docs/performance.md with its chart from it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any

from bench import against, bulk, machine, page, rounds, workloads
from bench.database import Shared, shared
from bench.floors import loops, servers
from bench.load import CONNECTIONS
from bench.page import COGLEX, ONE_WORKER, OWN
from bench.peers import eve, parse
from bench.rounds import Figure
from bench.subjects import Measurable
from bench.workloads import TITLES, WORKLOADS

SERVERS = {
    "coglex": COGLEX,
    "one": ONE_WORKER,
    "own": OWN,
    "parse": parse.NAME,
    "eve": eve.NAME,
    "wsgi": servers.WSGI,
    "django": servers.DJANGO,
    "driver": loops.DRIVER,
    "bcrypt": loops.BCRYPT,
}
# Part of what is under way at the end is done, not counted: of few sign-ins that is some percent.
_LEAST_SECONDS = {"signin": 30}
_HEAD = (
    f"{'':<36} {'requests/s':>10} {'p50 ms':>8} {'p99 ms':>8} {'not 2xx':>8} "
    f"{'CPU µs':>8} {'MongoDB':>8} {'RSS MB':>7} {'PSS MB':>7}  Coglex is"
)


def run(arguments: list[str]) -> None:
    """Measure what the arguments say."""
    options = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="coglex-bench-") as directory:
        if options.against:
            against.run(options, Path(directory))
            return
        found = _measure(options, Path(directory))
    whole = not options.only and not options.servers
    if target := options.output or (page.LATEST if whole else None):
        target.parent.mkdir(exist_ok=True)
        target.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
        print(f"written: {target}")
    if whole and not options.output:
        page.write()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench compare", description=__doc__)
    parser.add_argument("--against", metavar="CHECKOUT", help="a directory or a commit")
    parser.add_argument("--this", metavar="CHECKOUT", default=".", help="instead of this one")
    parser.add_argument("--workers", type=int, default=2, help="with --against")
    parser.add_argument("--only", nargs="+", metavar="WORKLOAD", choices=list(WORKLOADS))
    parser.add_argument("--servers", nargs="+", metavar="SERVER", choices=list(SERVERS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--output", type=Path, help="a file for the results")
    return parser


def _measure(options: argparse.Namespace, directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = machine.described()
    found |= {"connections": CONNECTIONS, "rounds": options.rounds, "seconds": options.seconds}
    figures: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        database = stack.enter_context(shared(directory))
        subjects = _started(options.servers or list(SERVERS), directory, database, stack)
        print(f"{CONNECTIONS} connections, {options.rounds} rounds of {options.seconds} s\n{_HEAD}")
        # In this order whatever was asked: lists know the documents as they are before patches.
        for name in (each for each in WORKLOADS if each in (options.only or WORKLOADS)):
            measured = rounds.measure(
                list(subjects.values()),
                name,
                directory,
                rounds=options.rounds,
                seconds=max(options.seconds, _LEAST_SECONDS.get(name, 0)),
            )
            figures[name] = {server: figure.as_json() for server, figure in measured.items()}
            _print(name, measured)
        found["figures"] = figures
        found["memory"] = {
            server: {"rss": held.rss, "pss": held.pss}
            for server, subject in subjects.items()
            if (held := subject.memory())
        }
        if COGLEX in subjects and not options.only:
            running = subjects[COGLEX].running
            found["bulk"] = bulk.measure(running, rounds=options.rounds + 4)
            print(bulk.told(found["bulk"]))
    return found


def _started(
    chosen: list[str], directory: Path, database: Shared, stack: ExitStack
) -> dict[str, Any]:
    """What is measured, by its title; servers without what they need are left out, and said so."""
    subjects: dict[str, Measurable] = {}
    if "parse" in chosen and not shutil.which("node"):
        print(f"{parse.NAME} is left out: there is no node")
        chosen = [name for name in chosen if name != "parse"]
    for name in chosen:
        place = directory / name
        place.mkdir()
        subjects[SERVERS[name]] = stack.enter_context(_STARTS[name](place, database))
    return subjects


def _coglex(
    title: str, workers: int, *, own: bool = False
) -> Callable[[Path, Shared], AbstractContextManager[Measurable]]:
    def start(place: Path, database: Shared) -> AbstractContextManager[Measurable]:
        mongodb = None if own else (database.address, database.pid)
        return workloads.served(title, place, workers=workers, mongodb=mongodb)

    return start


_STARTS: dict[str, Callable[[Path, Shared], AbstractContextManager[Measurable]]] = {
    "coglex": _coglex(COGLEX, 2),
    "one": _coglex(ONE_WORKER, 1),
    "own": _coglex(OWN, 2, own=True),
    "parse": parse.serve,
    "eve": eve.serve,
    "wsgi": lambda place, _: servers.serve(servers.WSGI, "bare", place),
    "django": lambda place, _: servers.serve(servers.DJANGO, "plain", place),
    "driver": lambda _, database: nullcontext(loops.Driver(database.address, database.pid)),
    "bcrypt": lambda _, __: nullcontext(loops.Bcrypt()),
}


def _print(name: str, measured: dict[str, Figure]) -> None:
    """A workload's rows; ratios are of the medians of requests a second."""
    print(TITLES[name])
    ours = measured.get(COGLEX)
    for server, figure in measured.items():
        held = (
            f"{figure.rss / 1024:>7.0f} {figure.pss / 1024:>7.0f}"
            if figure.rss is not None and figure.pss is not None
            else f"{'':>7} {'':>7}"
        )
        ratio = f"{ours.rate / figure.rate:>7.2f} ×" if ours and server != COGLEX else ""
        print(
            f"  {server:<34} {figure.rate:>10.1f} {figure.p50:>8.2f} {figure.p99:>8.2f} {0:>8} "
            f"{figure.cpu:>8.0f} {figure.database:>8.0f} {held}  {ratio}",
            flush=True,
        )
