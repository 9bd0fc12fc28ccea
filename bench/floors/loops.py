"""The floors without HTTP: the driver, and one check of a password, from two processes."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import bcrypt
from pymongo import MongoClient
from pymongo.collection import Collection

from bench import data
from bench.load import Load
from bench.subjects import Sample
from bench.usage import Memory, cpu_seconds

DRIVER = "pymongo"
BCRYPT = "bcrypt"
PROCESSES = 2
ROUNDS = 12
Step = Callable[[int], Any]


def _driver_steps(collection: Collection[dict[str, Any]]) -> dict[str, Step]:
    """What each workload is without a server; ``number`` is that of a document."""
    written = collection.database["written"]
    return {
        "get": lambda number: collection.find_one({"_id": data.key(number)}),
        "list": lambda _: list(collection.find().limit(20)),
        "post": lambda number: written.insert_one(data.fields(number)),
        "post100": lambda _: written.insert_many([data.fields(n) for n in range(100)]),
        "patch": lambda n: collection.update_one({"_id": data.key(n)}, {"$inc": {"n": 1}}),
    }


class Driver:
    """Loops of bare pymongo, under the same write concern."""

    name = DRIVER

    def __init__(self, uri: str, database_pid: int) -> None:
        self._uri, self._pid = uri, database_pid
        with MongoClient[dict[str, Any]](uri) as client:
            client["driver"]["bench"].insert_many(data.documents())

    def has(self, workload: str) -> bool:
        return workload in {"get", "list", "post", "post100", "patch"}

    def verify(self, workload: str, _: Path) -> None:
        with MongoClient[dict[str, Any]](self._uri) as client:
            found = _driver_steps(client["driver"]["bench"])[workload](0)
        assert found, workload

    def warm_up(self, workload: str, directory: Path, seconds: float) -> None:
        self.sample(workload, directory, seconds, 0)

    def sample(self, workload: str, _: Path, seconds: float, start: int) -> Sample:
        return _sampled(_run_driver, (self._uri, workload), seconds, start, self._pid)

    def memory(self) -> Memory | None:
        return None


class Bcrypt:
    """Checks of a password, as many at once as there are processes."""

    name = BCRYPT

    def has(self, workload: str) -> bool:
        return workload == "signin"

    def verify(self, _: str, __: Path) -> None:
        assert bcrypt.checkpw(b"right", bcrypt.hashpw(b"right", bcrypt.gensalt(4)))

    def warm_up(self, _: str, __: Path, ___: float) -> None:
        """There is nothing to warm."""

    def sample(self, _: str, __: Path, seconds: float, start: int) -> Sample:
        return _sampled(_run_bcrypt, (), seconds, start, None)

    def memory(self) -> Memory | None:
        return None


def _sampled(
    work: Callable[..., tuple[list[float], float]],
    arguments: tuple[str, ...],
    seconds: float,
    start: int,
    database_pid: int | None,
) -> Sample:
    stored = [database_pid] if database_pid else []
    before = cpu_seconds(stored)
    asked = [(*arguments, seconds, start + each * 5000) for each in range(PROCESSES)]
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        parts = pool.starmap(work, asked)
    times = [taken for found, _ in parts for taken in found]
    cuts = statistics.quantiles(times, n=100)
    rate = sum(len(found) / sum(found) for found, _ in parts)
    load = Load(
        len(times), len(times), len(times) / rate, cuts[49] * 1000, cuts[98] * 1000, failed=0
    )
    cpu = sum(used for _, used in parts) * 1e6 / len(times)
    return Sample(load, cpu, (cpu_seconds(stored) - before) * 1e6 / len(times))


def _run_driver(uri: str, workload: str, seconds: float, start: int) -> tuple[list[float], float]:
    with MongoClient[dict[str, Any]](uri) as client:
        collection = client["driver"]["bench"]
        collection.find_one()
        step = _driver_steps(collection)[workload]
        numbers = data.shuffled()
        at = start % len(numbers)
        return _timed(step, numbers[at:] + numbers[:at], seconds)


def _run_bcrypt(seconds: float, _: int) -> tuple[list[float], float]:
    digest = bcrypt.hashpw(b"seven tall mountains", bcrypt.gensalt(ROUNDS))
    return _timed(lambda _: bcrypt.checkpw(b"seven tall mountains", digest), [0], seconds)


def _timed(step: Step, numbers: list[int], seconds: float) -> tuple[list[float], float]:
    """The time of each step, and the CPU time of all."""
    times, cpu = [], time.process_time()
    end = time.perf_counter() + seconds
    for number in cycle(numbers):
        if (began := time.perf_counter()) >= end:
            break
        step(number)
        times.append(time.perf_counter() - began)
    return times, time.process_time() - cpu
