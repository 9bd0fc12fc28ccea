"""Proofs about users: one of many sign-ups, indistinguishable refusals, reads beside sign-ins."""

from __future__ import annotations

import statistics
import subprocess
import sys
import threading
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from math import erfc, sqrt
from typing import Any

from bench.proofs import http_client, told
from tests.processes import ROOT, Served, environment

PASSWORD = "correct horse battery"
# The limits would end these measurements after a few requests.
UNLIMITED = {
    f"COGLEX_RATE_{name}": "1000000/m"
    for name in ("SIGNUP_ADDRESS", "SIGNIN_ADDRESS", "SIGNIN_KEY")
}


def _auth(served: Served) -> str:
    return f"{served.url}/service/auth/v1"


def signups(served: Served) -> str:
    """200 simultaneous sign-ups of one key in different spellings: one 201, the rest 409."""
    spellings = ["ångström@example.com", "ÅNGSTRÖM@EXAMPLE.COM", " ångström@example.com "]
    spellings += [unicodedata.normalize("NFD", spellings[0]), "ångström@EXAMPLE.com"]

    def one(key: str) -> int:
        body = {"_key": key, "_password": PASSWORD}
        with http_client() as http:
            return http.post(f"{_auth(served)}/signup/people", json=body).status_code

    with ThreadPoolExecutor(30) as pool:
        statuses = list(pool.map(one, islice(cycle(spellings), 200)))
    return f"{statuses.count(201)} × 201, {statuses.count(409)} × 409 of 200"


def timing(served: Served) -> str:
    """400 interleaved sign-ins each of an unknown user, a wrong password, a disabled user."""
    for name in ("known", "disabled"):
        body = {"_key": name, "_password": PASSWORD}
        served.http.post(f"{_auth(served)}/signup/people", json=body).raise_for_status()
    command = [sys.executable, "manage.py", "users", "disable", "people", "disabled"]
    subprocess.run(command, cwd=ROOT, env=environment(served.data_dir), check=True)
    kinds = {
        "unknown user": {"_key": "unknown-one", "_password": PASSWORD},
        "wrong password": {"_key": "known", "_password": "wrong horse battery"},
        "disabled user": {"_key": "disabled", "_password": PASSWORD},
    }
    times: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(420):
        for name, body in kinds.items():
            started = time.perf_counter()
            answer = served.http.post(f"{_auth(served)}/signin/people", json=body)
            times[name].append(time.perf_counter() - started)
            assert answer.status_code == 401, answer.text
    times = {name: taken[20:] for name, taken in times.items()}
    medians = {name: statistics.median(taken) * 1000 for name, taken in times.items()}
    spread = (max(medians.values()) / min(medians.values()) - 1) * 100
    names = list(times)
    p = [
        mann_whitney(times[a], times[b]) for a, b in zip(names, names[1:] + names[:1], strict=True)
    ]
    said = ", ".join(f"{name} {median:.2f} ms" for name, median in medians.items())
    return f"medians: {said}; {spread:.2f} % apart; Mann-Whitney p: " + ", ".join(
        f"{one:.3f}" for one in p
    )


def mann_whitney(first: list[float], second: list[float]) -> float:
    """The two-sided p of the U test, by its normal approximation (no ties among times)."""
    ranked = sorted([(value, 0) for value in first] + [(value, 1) for value in second])
    ranks = sum(rank for rank, (_, group) in enumerate(ranked, 1) if group == 0)
    n, m = len(first), len(second)
    z = (ranks - n * (n + m + 1) / 2) / sqrt(n * m * (n + m + 1) / 12)
    return erfc(abs(z) / sqrt(2))


def signins(served: Served) -> str:
    """The p99 of reads in one process, alone and while 8 clients sign in without pause."""
    served.http.put(f"{served.storage}/read/one", json={"n": 1}).raise_for_status()
    body = {"_key": "ada", "_password": PASSWORD}
    served.http.post(f"{_auth(served)}/signup/people", json=body).raise_for_status()
    alone = _reads(served)
    done, stop = [0] * 8, threading.Event()

    def sign_in(number: int) -> None:
        with http_client() as http:
            while not stop.is_set():
                http.post(f"{_auth(served)}/signin/people", json=body).raise_for_status()
                done[number] += 1

    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(sign_in, number) for number in range(8)]
        beside = _reads(served)
        stop.set()
        for future in running:
            future.result()
    return (
        f"p99 of a read: alone {alone:.1f} ms, beside {sum(done)} sign-ins {beside:.1f} ms, "
        f"{beside / alone:.1f} times"
    )


def _reads(served: Served, seconds: float = 15) -> float:
    """The p99 in ms of reads by 4 clients."""
    end = time.perf_counter() + seconds

    def read(_: int) -> list[float]:
        taken = []
        with http_client() as http:
            while (started := time.perf_counter()) < end:
                http.get(f"{served.storage}/read/one").raise_for_status()
                taken.append(time.perf_counter() - started)
        return taken

    with ThreadPoolExecutor(4) as pool:
        times = [one for taken in pool.map(read, range(4)) for one in taken]
    return statistics.quantiles(times, n=100)[98] * 1000


PROOFS: dict[str, Any] = {
    "signups": told(signups, **UNLIMITED),
    "timing": told(timing, **UNLIMITED),
    "signins": told(signins, WEB_WORKERS="1", **UNLIMITED),
}
