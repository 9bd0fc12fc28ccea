"""What a request carries from one stair to the next: its id, its principal, its limits.

Kept on Django's request, also where REST framework wraps it, so that the middleware sees it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest
from rest_framework.request import Request

from core.apikeys import Principal
from core.errors import CoglexError, MissingAPIKey

AnyRequest = HttpRequest | Request


@dataclass(frozen=True, slots=True)
class Usage:
    """What a rate limit says after this request was counted; times in seconds."""

    name: str
    limit: int
    window: int
    remaining: int
    reset: int


@dataclass(slots=True)
class Carried:
    """One request's share; made when it is first asked for."""

    request_id: str = ""
    principal: Principal | None = None
    refusal: CoglexError | None = None
    body: bytes | None = None
    limits: list[Usage] = field(default_factory=list)
    signed_in: dict[str, Any] = field(default_factory=dict)


def carried(request: AnyRequest) -> Carried:
    """What this request carries."""
    plain = request._request if isinstance(request, Request) else request  # noqa: SLF001
    found: Carried | None = plain.__dict__.get("carried")
    if found is None:
        found = plain.__dict__["carried"] = Carried()
    return found


def principal(request: AnyRequest) -> Principal:
    """Who calls; raises MissingAPIKey where no permission has asked for a key."""
    found = carried(request).principal
    if found is None:
        raise MissingAPIKey
    return found
