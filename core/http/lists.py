"""Lists over HTTP: what the query parameters ask for, and the headers that say what follows."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

from core.data.pages import MAX_LIMIT, MAX_SKIP, Listing, Query
from core.http.bodies import flag_parameter, integer_parameter, json_parameter, parameter
from core.http.carried import AnyRequest


def asked_of(request: AnyRequest) -> Query:
    """The list that a request asks for; raises InvalidParameter."""
    asked = Query(
        query=json_parameter(request, "query"),
        keys=json_parameter(request, "keys"),
        sort=_sort(request),
        limit=integer_parameter(request, "limit", 1, MAX_LIMIT),
        skip=integer_parameter(request, "skip", 0, MAX_SKIP),
        after=parameter(request, "after"),
    )
    flag_parameter(request, "count")
    return asked


def _sort(request: AnyRequest) -> object:
    text = parameter(request, "sort")
    if text is None or not text.lstrip().startswith("{"):
        return text
    return json_parameter(request, "sort")


def list_headers(request: AnyRequest, listing: Listing, count: Callable[[], int]) -> dict[str, str]:
    """``Link`` where more follows, ``X-Total-Count`` where it was asked for."""
    headers = {}
    if flag_parameter(request, "count"):
        headers["X-Total-Count"] = str(count())
    if listing.next:
        headers["Link"] = f'<{_next_url(request, listing.next)}>; rel="next"'
    return headers


def _next_url(request: AnyRequest, token: str) -> str:
    kept = [
        (name, value)
        for name, value in request.GET.items()
        if name in {"query", "keys", "sort", "limit", "count"}
    ]
    return f"{request.path}?{urlencode([*kept, ('after', token)])}"
