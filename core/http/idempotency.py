"""The Idempotency-Key header, as a decorator of viewset actions.

Source: draft-ietf-httpapi-idempotency-key-header.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

import structlog
from django.http import HttpRequest, HttpResponse

from core.data.client import in_transaction
from core.data.idempotency import Claim, StoredAnswer, abandon, claim, store
from core.errors import CoglexError, InvalidParameter
from core.http.bodies import raw_body
from core.http.carried import principal
from core.http.problems import respond, status_of

Action = Callable[..., HttpResponse]
Work = Callable[[], HttpResponse]
Commit = Callable[[Work], HttpResponse]

_valid_key = re.compile(r"[\x21-\x7e]{1,255}").fullmatch
_KEPT_HEADERS = ("Content-Type", "Location")
log = structlog.get_logger("coglex.idempotency")


def idempotent(action: Action) -> Action:
    """Run a POST once for each Idempotency-Key, and answer repetitions from the first answer.

    The action and the record of its answer share one transaction; it may be run several times
    before that commits, and must not do anything that a transaction does not undo.
    """

    @wraps(action)
    def once(view: Any, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return run_once(
            request,
            body=lambda: raw_body(request),
            run=lambda commit: commit(lambda: action(view, request, *args, **kwargs)),
        )

    return once


def run_once(
    request: HttpRequest, *, body: Callable[[], bytes], run: Callable[[Commit], HttpResponse]
) -> HttpResponse:
    """``idempotent`` for an action that does more than a transaction can undo.

    ``body`` is what a repetition must have in common with the first call. ``run`` is given a
    function that it calls with its last step, which shares a transaction with the answer's record.
    """
    key = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if key is None:
        return run(lambda work: work())
    if not _valid_key(key):
        detail = "Idempotency-Key must be 1 to 255 visible ASCII characters."
        raise InvalidParameter.of("Idempotency-Key", detail)
    held = claim(principal=principal(request).id, route=request.path_info, key=key, body=body())
    if isinstance(held, StoredAnswer):
        return _replay(held)
    return _run(held, request, run)


def _replay(answer: StoredAnswer) -> HttpResponse:
    headers = {**answer.headers, "Idempotent-Replayed": "true"}
    return HttpResponse(answer.body, status=answer.status, headers=headers)


def _run(held: Claim, request: HttpRequest, run: Callable[[Commit], HttpResponse]) -> HttpResponse:
    def commit(work: Work) -> HttpResponse:
        def recorded() -> HttpResponse:
            response = work()
            store(held, _stored(response))
            return response

        return in_transaction(recorded)

    try:
        return run(commit)
    except CoglexError as error:
        if status_of(error) >= 500:
            _give_back(held)
            raise
        response = respond(error, request)
        store(held, _stored(response))
        return response
    except BaseException:
        _give_back(held)
        raise


def _stored(response: HttpResponse) -> StoredAnswer:
    headers = {name: response[name] for name in _KEPT_HEADERS if name in response}
    return StoredAnswer(response.status_code, headers, response.content)


def _give_back(held: Claim) -> None:
    try:
        abandon(held)
    except CoglexError as error:
        # The lease frees it later.
        log.warning("idempotency_claim_kept", code=error.code)
