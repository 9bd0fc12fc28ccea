"""What `manage.py doctor` looks at in collections: slow operations that an index would mend."""

from __future__ import annotations

from collections.abc import Iterator

from core.diagnosis import Finding, examines
from storage import operations

# What one shape of operation may take in two weeks.
_MOST_MILLISECONDS = 10_000


@examines("collections", on_mongodb=True)
def _collections() -> Iterator[Finding]:
    for each in operations.suggest_indexes():
        if each["milliseconds"] < _MOST_MILLISECONDS:
            continue
        keys = " ".join(each["keys"])
        yield Finding(
            "collections.slow",
            "warning",
            "collections",
            f"Operations on {each['collection']} took {each['milliseconds'] / 1000:.0f} s "
            "for the lack of an index.",
            f"Run `manage.py indexes create {each['collection']} -- {keys}`.",
        )
