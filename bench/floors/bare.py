"""A WSGI application that does nothing: what granian itself costs."""

from __future__ import annotations

import json
from collections.abc import Callable

from bench import data

BODY = json.dumps(data.document(0)).encode()
HEADERS = [("Content-Type", "application/json"), ("Content-Length", str(len(BODY)))]


def application(_: object, start_response: Callable[..., object]) -> list[bytes]:
    start_response("200 OK", HEADERS)
    return [BODY]
