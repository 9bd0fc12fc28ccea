"""Events by the thousand, in any order and again, to a server that is killed meanwhile."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from pymongo import MongoClient

from core.data.embedded.server import Server
from payments.standin.server import Standin
from payments.standin.state import shown
from tests.processes import Served, eventually

WEBHOOK = "/service/payment/v1/webhook/"
STATUSES = ("active", "past_due", "unpaid", "paused", "trialing")


def serve(data_dir: Path, standin: Standin, **more: str) -> Served:
    """A server that knows the stand-in, with a listener to its signals."""
    return Served(
        data_dir,
        DJANGO_SETTINGS_MODULE="tests.listening",
        STRIPE_SECRET_KEY="sk_test_standin",
        STRIPE_WEBHOOK_SECRET=standin.secret,
        STRIPE_API_BASE=standin.url,
        **more,
    )


def make_events(standin: Standin, count: int) -> list[dict]:
    """Customers, subscriptions and changes of them: so many events."""
    club = [{"price": "price_club", "quantity": 1}]
    with standin.state.lock:
        standin.state.add_prices()
        while len(standin.emitted) < count:
            subscriptions = standin.state.all("subscription")
            if len(subscriptions) < count // 20:
                customer = standin.state.create_customer(
                    {"email": f"u{len(subscriptions)}@example.com"}
                )
                standin.state._subscribe(customer["id"], standin.state._priced(club), {})
            else:
                one = random.choice(subscriptions)
                standin.state.change_subscription(one["id"], random.choice(STATUSES))
    return standin.emitted[:count]


def deliver(served: Served, standin: Standin, events: list[dict], kills: int) -> Counter:
    """Send the events in random order, a third of them two to five times, from eight connections,
    each until it is taken; kill a worker now and then. Returns how often each was sent."""
    times = Counter({each["id"]: 1 for each in events})
    for event_id in random.sample(sorted(times), len(events) // 3):
        times[event_id] = random.randint(2, 5)
    sent = [each for each in events for _ in range(times[each["id"]])]
    random.shuffle(sent)
    left = len(sent)
    lock = threading.Lock()

    def client(part):
        nonlocal left
        with httpx.Client(timeout=30) as http:
            for event in part:
                body, headers = standin.signed(event)
                while not taken(http, served.url + WEBHOOK, body, headers):
                    time.sleep(0.02)
                with lock:
                    left -= 1

    threads = [threading.Thread(target=client, args=(sent[start::8],)) for start in range(8)]
    for thread in threads:
        thread.start()
    for kill in range(kills):
        # Spread over the whole: with so many left to be sent.
        goal = len(sent) * (kills - kill) // (kills + 1)

        def reached(goal=goal):
            return left <= goal

        eventually(reached, 120)
        workers = served.children()
        if workers:
            os.kill(random.choice(workers), signal.SIGKILL)
    for thread in threads:
        thread.join()
    return times


def taken(http: httpx.Client, url: str, body: bytes, headers: dict[str, str]) -> bool:
    try:
        return http.post(url, content=body, headers=headers).status_code == 200
    except httpx.TransportError:
        return False


def outcome(
    served: Served, standin: Standin, events: list[dict], seconds: float, *, expire: bool = False
) -> dict:
    """What came of it, once nothing waits any more: counts of what is right."""
    driver: MongoClient
    with MongoClient(Server(served.data_dir / "mongodb").uri) as driver:
        internal: Any = driver["coglex_internal"]
        ledger = internal["payment_events"]
        if expire:
            # Claims of killed workers: not waited for, as their lease is two minutes.
            over = {"$set": {"lease_until": datetime(2020, 1, 1, tzinfo=UTC)}}
            ledger.update_many({"state": "processing"}, over)
        eventually(lambda: ledger.count_documents({"state": "processed"}) == len(events), seconds)
        kept = {each["_id"]: each["object"] for each in internal["payment_objects"].find()}
        attempts = Counter(each["attempts"] for each in ledger.find())
    heard = Counter((served.data_dir / "heard").read_text().split())
    kinds = ("customer", "subscription", "invoice")
    at_stripe = {each["id"]: shown(each) for kind in kinds for each in standin.state.all(kind)}
    return {
        "events": len(events),
        "mirrored": len(at_stripe),
        "equal": sum(kept.get(key) == found for key, found in at_stripe.items()),
        "heard": sum(heard[each["id"]] >= 1 for each in events),
        "heard_again": sum(count > 1 for count in heard.values()),
        "attempts": dict(attempts),
    }
