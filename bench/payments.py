"""Proofs of the payments: a thousand events under kills, and the status endpoint's rate."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.coglex import KEY
from bench.load import Replay, drive
from bench.proofs import told
from bench.subjects import request
from payments.standin.server import Standin
from tests.payments import deliveries
from tests.processes import Served


def events(served: Served) -> str:
    """1,000 events in random order, a third two to five times, ten workers killed."""
    standin = Standin().start()
    with tempfile.TemporaryDirectory(prefix="coglex-events-") as directory:
        running = deliveries.serve(Path(directory) / "var", standin)
        try:
            made = deliveries.make_events(standin, 1000)
            times = deliveries.deliver(running, standin, made, kills=10)
            found = deliveries.outcome(running, standin, made, seconds=300)
        finally:
            running.stop()
            standin.stop()
    return (
        f"{found['events']} events sent {times.total()} times, 10 workers killed: "
        f"{found['equal']} of {found['mirrored']} objects equal Stripe's, {found['heard']} signals "
        f"heard ({found['heard_again']} again), attempts {found['attempts']}"
    )


def status(served: Served) -> str:
    """The status endpoint against reading one document by its key, in turn."""
    standin = Standin().start()
    with tempfile.TemporaryDirectory(prefix="coglex-status-") as directory:
        running = deliveries.serve(Path(directory) / "var", standin)
        try:
            made = deliveries.make_events(standin, 200)
            deliveries.deliver(running, standin, made, kills=0)
            deliveries.outcome(running, standin, made, seconds=60)
            running.http.put(f"{running.storage}/bench/k", json={"text": "x" * 400})
            paths = {
                "key": "/service/storage/v1/bench/k/",
                "status": "/service/payment/v1/subscription/?email=u1@example.com",
            }
            replays = {
                name: Replay.write(Path(directory) / name, [request("GET", path, headers=KEY)])
                for name, path in paths.items()
            }
            rates: dict[str, list[float]] = {name: [] for name in paths}
            for _ in range(3):
                for name, replay in replays.items():
                    rates[name].append(drive(running.port, replay, seconds=5).rate)
        finally:
            running.stop()
            standin.stop()
    best = {name: sorted(found)[1] for name, found in rates.items()}
    return (
        f"status {best['status']:.0f}/s, document by key {best['key']:.0f}/s: "
        f"{best['status'] / best['key']:.0%}"
    )


PROOFS = {proof.__name__: told(proof) for proof in (events, status)}
