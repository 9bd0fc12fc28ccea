"""Who is signed in, asked of the service that keeps users; no service, nobody.

The service registers its way to find out; permissions ask, and know nothing of how.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.errors import NotSignedIn
from core.http.carried import AnyRequest

User = dict[str, Any]
# Given a request and a user collection, or None for any: the user document, or None.
FindUser = Callable[[AnyRequest, str | None], User | None]

_finders: list[FindUser] = []


def register(find: FindUser) -> None:
    """Let ``find`` be asked who is signed in; called once, when the service is loaded."""
    _finders.append(find)


def signed_in_user(request: AnyRequest, collection: str | None = None) -> User:
    """The user document of whoever is signed in to the collection; raises NotSignedIn."""
    for find in _finders:
        if (user := find(request, collection)) is not None:
            return user
    raise NotSignedIn
