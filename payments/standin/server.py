"""The stand-in's HTTP: Stripe's routes, idempotency keys, signed webhooks, faults on request.

Started by `manage.py stripe_standin` and by tests. Beside Stripe's own routes there are
``/pay/<session>``, the page where a person clicks "pay", and ``POST /standin/fail``, which makes
the next requests fail: ``{"mode": "500|429|drop|lost", "times": 1, "path": "/v1/…"}``. ``lost``
does the work and drops the connection before the answer.
"""

from __future__ import annotations

import contextlib
import html
import json
import queue
import socket
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import requests
from stripe import WebhookSignature, params

from payments.standin.params import Refused, checked, decoded
from payments.standin.state import Object, State, shown

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Stand-in checkout</title>
<style>body{{font:16px/1.5 system-ui;max-width:28em;margin:4em auto;padding:0 1em}}
button{{font:inherit;padding:.6em 2em;border:0;border-radius:6px;background:#635bff;color:#fff}}
</style><h1>{title}</h1><p>{text}</p>{form}</html>"""
_FORM = '<form method="post"><button name="pay">Pay</button></form>'
# How often, and after how many seconds, a webhook that was not taken is sent again.
_PAUSES = (0.2, 0.5, 1, 2, 4)


class Standin:
    """A running stand-in; without a webhook's address it keeps its events in ``emitted``."""

    def __init__(
        self,
        *,
        port: int = 0,
        webhook: str = "",
        secret: str = "whsec_standin",  # noqa: S107 - it guards nothing
    ) -> None:
        self.webhook, self.secret = webhook, secret
        self.faults: list[Object] = []
        self.requests: list[tuple[str, str, Object]] = []
        self._answers: dict[str, tuple[str, int, bytes]] = {}
        self._busy: set[str] = set()
        self._queue: queue.Queue[Object | None] = queue.Queue()
        self._server = _Server(("127.0.0.1", port), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.emitted: list[Object] = []
        self.state = State(self.url, self._queue.put if webhook else self.emitted.append)
        self._threads = [
            threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True),
            threading.Thread(target=self._send, daemon=True),
        ]

    def start(self) -> Standin:
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._queue.put(None)
        for thread in self._threads:
            thread.join(10)

    def fail(self, mode: str, *, times: int = 1, path: str = "/v1/") -> None:
        """Let the next requests below this path fail."""
        self.faults += [{"mode": mode, "path": path} for _ in range(times)]

    def fault(self, path: str) -> str | None:
        """The fault that is due for a request to this path; each counts once."""
        with self.state.lock:
            for at, fault in enumerate(self.faults):
                if path.startswith(fault["path"]):
                    return str(self.faults.pop(at)["mode"])
        return None

    def signed(self, event: Object) -> tuple[bytes, dict[str, str]]:
        """An event as Stripe sends it: body and headers."""
        body = json.dumps(shown(event))
        signature = WebhookSignature.generate_signature_header(body, self.secret)
        return body.encode(), {"Content-Type": "application/json", "Stripe-Signature": signature}

    def _send(self) -> None:
        while (event := self._queue.get()) is not None:
            for pause in _PAUSES:
                body, headers = self.signed(event)
                with contextlib.suppress(requests.RequestException):
                    if requests.post(self.webhook, body, headers=headers, timeout=10).ok:
                        break
                time.sleep(pause)

    def once(
        self, key: str | None, about: str, work: Callable[[], tuple[int, Object]]
    ) -> tuple[int, bytes, bool]:
        """The answer to a request, or the first one's if the key was used: and whether it was."""
        if key is None:
            status, answer = work()
            return status, json.dumps(answer).encode(), False
        with self.state.lock:
            if key in self._answers:
                first, status, body = self._answers[key]
                if first != about:
                    raise Refused(
                        "Keys for idempotent requests can only be used with the same parameters.",
                        type_="idempotency_error",
                    )
                return status, body, True
            if key in self._busy:
                raise Refused("Another request with this key runs.", status=409)
            self._busy.add(key)
        try:
            try:
                status, answer = work()
            except Refused as error:
                status, answer = error.status, {"error": error.error}
            body = json.dumps(answer).encode()
            with self.state.lock:
                self._answers[key] = (about, status, body)
            return status, body, False
        finally:
            self._busy.discard(key)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A new one is started where one was stopped a moment ago.
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients hang up; anything else is worth its traceback."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def _handler(standin: Standin) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.standin = standin
            super().__init__(*args, **kwargs)

    return Handler


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    standin: Standin

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Say nothing."""

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = urlsplit(self.path).path
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        if path.startswith("/pay/"):
            self._page(path.removeprefix("/pay/"))
        elif path == "/standin/fail":
            asked = json.loads(body)
            self.standin.fail(**asked)
            self._say(200, b"{}")
        else:
            self._api(path, body)

    def _api(self, path: str, body: str) -> None:
        fault = self.standin.fault(path)
        if fault == "drop":
            self._hang_up()
            return
        if fault in {"500", "429"}:
            said = {"type": "api_error", "message": "The stand-in was told to fail."}
            again = {"Stripe-Should-Retry": "true"}
            self._say(int(fault), json.dumps({"error": said}).encode(), again)
            return
        try:
            status, answer, replayed = self._asked(path, body)
        except Refused as error:
            status, answer, replayed = (
                error.status,
                json.dumps({"error": error.error}).encode(),
                False,
            )
        if fault == "lost":
            self._hang_up()
            return
        self._say(status, answer, {"Idempotent-Replayed": "true"} if replayed else {})

    def _asked(self, path: str, body: str) -> tuple[int, bytes, bool]:
        key = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if not key.startswith(("sk_test_", "rk_test_")):
            raise Refused("Invalid API Key provided", status=401)
        given = decoded(body or urlsplit(self.path).query)
        self.standin.requests.append((self.command, path, given))

        def work() -> tuple[int, Object]:
            with self.standin.state.lock:
                return 200, shown(route(self.standin.state, self.command, path, given))

        used = self.headers.get("Idempotency-Key") if self.command == "POST" else None
        return self.standin.once(used, f"{self.command} {path} {body}", work)

    def _page(self, session_id: str) -> None:
        state = self.standin.state
        session = state.objects.get(session_id)
        if session is None or session["object"] != "checkout.session":
            self._say(404, b"no such session", {"Content-Type": "text/plain"})
            return
        if self.command == "POST" and session["status"] == "open":
            with state.lock:
                state.pay(session_id)
            self._say(303, b"", {"Location": session["success_url"]})
            return
        amount = f"{(session['amount_total'] or 0) / 100:.2f} {session['currency'] or ''}".upper()
        is_open = session["status"] == "open"
        page = _PAGE.format(
            title="Checkout" if is_open else "This checkout is over",
            text=html.escape(f"{session['mode']}: {amount}"),
            form=_FORM if is_open else "",
        )
        self._say(200, page.encode(), {"Content-Type": "text/html; charset=utf-8"})

    def _say(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        said = {"Content-Type": "application/json", "Request-Id": "req_standin", **(headers or {})}
        self.send_response(status)
        for name, value in said.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


Make = Callable[[State, Object], Object]
_CREATE: dict[str, tuple[type, Make]] = {
    "/v1/customers": (params.CustomerCreateParams, State.create_customer),
    "/v1/products": (
        params.ProductCreateParams,
        lambda state, given: state.new("product", **given),
    ),
    "/v1/prices": (params.PriceCreateParams, State.create_price),
    "/v1/checkout/sessions": (params.checkout.SessionCreateParams, State.create_session),
    "/v1/subscription_schedules": (
        params.SubscriptionScheduleCreateParams,
        State.create_schedule,
    ),
    "/v1/refunds": (params.RefundCreateParams, State.create_refund),
}
_KINDS: dict[str, tuple[str, type | None]] = {
    "/v1/customers": ("customer", params.CustomerListParams),
    "/v1/products": ("product", None),
    "/v1/prices": ("price", params.PriceListParams),
    "/v1/checkout/sessions": ("checkout.session", params.checkout.SessionListParams),
    "/v1/subscription_schedules": (
        "subscription_schedule",
        params.SubscriptionScheduleListParams,
    ),
    "/v1/subscriptions": ("subscription", params.SubscriptionListParams),
    "/v1/invoices": ("invoice", params.InvoiceListParams),
    "/v1/refunds": ("refund", params.RefundListParams),
}


def route(state: State, method: str, path: str, given: Object) -> Object:
    """What Stripe answers; raises Refused."""
    if method == "POST" and path in _CREATE:
        kind, make = _CREATE[path]
        return make(state, checked(given, kind))
    if method == "GET" and path in _KINDS and _KINDS[path][1] is not None:
        return _page_of(state, path, given)
    collection, _, object_id = path.rpartition("/")
    if collection in _KINDS and object_id:
        kind_name = _KINDS[collection][0]
        if method == "GET":
            return state.get(kind_name, object_id)
        if method == "DELETE" and kind_name == "customer":
            return state.delete_customer(object_id)
        if method == "DELETE" and kind_name == "subscription":
            state.get("subscription", object_id)
            return state.change_subscription(object_id, "canceled")
    raise Refused(f"Unrecognized request URL ({method}: {path}).", status=404)


def _page_of(state: State, path: str, given: Object) -> Object:
    name, kind = _KINDS[path]
    assert kind is not None  # noqa: S101 - the caller looked
    asked = checked(given, kind)
    limit = asked.pop("limit", 10)
    after = asked.pop("starting_after", None)
    if asked.get("status") == "all":
        del asked["status"]
    elif name == "subscription" and "status" not in asked:
        asked["status"] = "active"
    found = [each for each in state.all(name, **asked) if not each.get("deleted")]
    if after is not None:
        ids = [each["id"] for each in found]
        found = found[ids.index(after) + 1 :] if after in ids else []
    page = [shown(each) for each in found[:limit]]
    return {"object": "list", "url": path, "data": page, "has_more": len(found) > limit}
