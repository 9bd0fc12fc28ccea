"""The WSGI entry that the server's workers load."""

from __future__ import annotations

import os
import threading
from typing import Any

import django
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest

from core.serving import start_worker
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
    """Django's, for requests as above, each in its turn."""

    request_class = Request

    def __call__(self, environ: Any, start_response: Any) -> Any:
        with turn():
            return super().__call__(environ, start_response)


django.setup(set_prefix=False)
start_worker()

from accounts.passwords import prepare  # noqa: E402 - needs Django's set-up
from core import activity, metrics  # noqa: E402
from payments import worker  # noqa: E402

threading.Thread(target=prepare, name="prepare", daemon=True).start()
metrics.enable()
activity.start()
worker.start()
application = Handler()
