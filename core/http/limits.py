"""Rate limits over all processes: django-ratelimit's counters on the shared cache.

A limited route calls ``enforce``; the middleware adds ``headers`` to its answer.
Source of the headers: draft-ietf-httpapi-ratelimit-headers.
"""

from __future__ import annotations

from django_ratelimit.core import _split_rate, get_usage

from core.errors import RateLimited
from core.http.carried import AnyRequest, Usage, carried


def enforce(request: AnyRequest, *, name: str, key: str, rate: str) -> None:
    """Count this request under ``key``; raises RateLimited when it is over ``rate``.

    ``rate`` is written as django-ratelimit does: ``20/m``, ``1000/h``, ``5/10s``.
    """
    usage = get_usage(
        request, group=name, key=lambda _group, _request: key, rate=rate, increment=True
    )
    if usage is None:
        return
    limit, window = _split_rate(rate)
    reset = max(1, int(usage["time_left"]))
    seen = Usage(name, limit, window, max(0, limit - usage["count"]), reset)
    carried(request).limits.append(seen)
    if usage["should_limit"]:
        raise RateLimited(retry_after=reset)


def headers(request: AnyRequest) -> dict[str, str]:
    """``RateLimit-Policy`` and ``RateLimit`` for the limits that counted this request."""
    seen = carried(request).limits
    if not seen:
        return {}
    return {
        "RateLimit-Policy": ", ".join(f'"{one.name}";q={one.limit};w={one.window}' for one in seen),
        "RateLimit": ", ".join(f'"{one.name}";r={one.remaining};t={one.reset}' for one in seen),
    }
