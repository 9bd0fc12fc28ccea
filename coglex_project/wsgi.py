"""The WSGI entry that the server's workers load."""

from __future__ import annotations

import os
from typing import Any

import django
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest

from core import connections
from core.http import framework
from core.http.paths import is_api
from core.supervisor import start_worker
from core.turns import turn

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "coglex_project.settings")


class Request(WSGIRequest):
    """Django's, that can also read a body sent in chunks, without a length."""

    def __init__(self, environ: dict[str, Any]) -> None:
        super().__init__(environ)
        if "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
            # The server ends this stream where the last chunk ends.
            self._stream = environ["wsgi.input"]


class Handler(WSGIHandler):
    """Django's, for requests as above, each in its turn; for API paths without what they cost.

    These get none of Django's signals about requests, whose receivers close connections to SQL:
    few of them use any (see ``core.connections``).
    """

    request_class = Request

    def __call__(self, environ: Any, start_response: Any) -> Any:
        with turn():
            if is_api(environ["PATH_INFO"]):
                return self._answer_api(environ, start_response)
            return super().__call__(environ, start_response)

    def _answer_api(self, environ: Any, start_response: Any) -> Any:
        connections.refresh()
        request = self.request_class(environ)
        response = self._middleware_chain(request)  # type: ignore[attr-defined]
        cookies = [("Set-Cookie", each.OutputString()) for each in response.cookies.values()]
        status = f"{response.status_code} {response.reason_phrase}"
        start_response(status, [*response.items(), *cookies])
        if response.streaming:
            response._resource_closers.append(request.close)  # noqa: SLF001 - as Django does
            return response
        request.close()
        # The server sends a list in one piece.
        return [response.content]


framework.load()
django.setup(set_prefix=False)
start_worker()

from core import activity, metrics, turns  # noqa: E402 - needs Django's set-up
from payments import worker  # noqa: E402

metrics.enable()
activity.start()
turns.start()
worker.start()
application = Handler()
