"""What an API key may do: ``<service>[/<collection>]:<read|write|*>``, or ``*`` for everything.

A scope on a service covers all its collections; one on a collection covers nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from core.data.names import check_collection
from core.errors import InvalidCollection, InvalidInput

SERVICES = ("auth", "storage", "archive", "payment", "gateway", "metrics")
ACTIONS = ("read", "write")


@dataclass(frozen=True, slots=True)
class Scopes:
    """Parsed scopes; ``grants`` are (service, collection or None, read or write)."""

    everything: bool
    grants: frozenset[tuple[str, str | None, str]]

    def allow(self, service: str, collection: str | None, action: str) -> bool:
        """Whether these scopes cover an action on a service, or on one of its collections."""
        return (
            self.everything
            or (service, None, action) in self.grants
            or (collection is not None and (service, collection, action) in self.grants)
        )

    def touch(self, service: str) -> bool:
        """Whether these scopes cover anything of a service."""
        return self.everything or any(grant[0] == service for grant in self.grants)


def parse_scopes(scopes: Iterable[str]) -> Scopes:
    """Parse scopes as they are written; raises InvalidInput with the pointer of a wrong one."""
    written = list(scopes)
    if not written:
        raise InvalidInput.at("", "A key needs at least one scope.")
    grants = [_parse(scope, f"/{index}") for index, scope in enumerate(written)]
    return Scopes("*" in written, frozenset(grant for several in grants for grant in several))


def _parse(scope: object, pointer: str) -> list[tuple[str, str | None, str]]:
    if scope == "*":
        return []
    place, _, action = scope.rpartition(":") if isinstance(scope, str) else ("", "", "")
    service, slash, collection = place.partition("/")
    if service not in SERVICES or action not in {*ACTIONS, "*"}:
        detail = (
            f"A scope is * or <service>[/<collection>]:<read|write|*>, "
            f"with one of the services {', '.join(SERVICES)}."
        )
        raise InvalidInput.at(pointer, detail)
    if slash:
        try:
            check_collection(collection)
        except InvalidCollection as error:
            raise InvalidInput.at(pointer, error.detail) from None
    actions = ACTIONS if action == "*" else (action,)
    return [(service, collection if slash else None, one) for one in actions]
