"""Times outside documents: RFC 3339 in UTC, and what MongoDB keeps of them."""

from __future__ import annotations

from datetime import UTC, datetime

from core.errors import InvalidInput


def now() -> datetime:
    """The time as MongoDB keeps it: aware, whole milliseconds."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def aware(moment: datetime) -> datetime:
    """A stored time, which the database gives back without its zone."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def rfc3339(moment: datetime) -> str:
    """``2026-01-31T12:00:00.000Z``."""
    text = aware(moment).astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """A time as people write it: ISO 8601, in UTC unless it says otherwise; raises InvalidInput."""
    try:
        return aware(datetime.fromisoformat(text))
    except ValueError:
        raise InvalidInput(
            f"{text[:40]!r} is no time: write 2026-01-31 or 2026-01-31T12:00."
        ) from None
