"""Where a request carries a session's token: a header, or a cookie for each user collection.

The header counts alone when it is there. A cookie counts only in requests from this site, or from
an origin that the operator listed (COGLEX_CORS_ORIGINS): browsers send it from anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpResponse

from accounts.services import SignedIn, signed_in
from core.errors import CrossSiteRequest
from core.http.carried import AnyRequest, carried
from core.http.signed_in import User

HEADER = "X-Session-Token"
PREFIX = "coglex_session_"


def token_of(request: AnyRequest, collection: str) -> str | None:
    """The token of the request for this collection; raises CrossSiteRequest."""
    header: str | None = request.META.get("HTTP_X_SESSION_TOKEN")
    if header is not None:
        return header
    cookie = request.COOKIES.get(PREFIX + collection)
    if cookie:
        check_site(request)
    return cookie or None


def check_site(request: AnyRequest) -> None:
    """Raise CrossSiteRequest where a browser says that another site's page sent this."""
    origin = request.META.get("HTTP_ORIGIN")
    if origin in settings.CORS_ALLOWED_ORIGINS:
        return
    site = request.META.get("HTTP_SEC_FETCH_SITE", "none")
    if site not in {"same-origin", "none"}:
        raise CrossSiteRequest
    if origin is None:
        return
    parts = urlsplit(origin)
    if parts.netloc != request.get_host() or (request.is_secure() and parts.scheme != "https"):
        raise CrossSiteRequest


def signed_in_as(request: AnyRequest, collection: str | None) -> SignedIn | None:
    """Who is signed in to the collection, or to any; asked once a request."""
    known = carried(request).signed_in
    name = collection or ""
    if name not in known:
        tokens = _tokens(request) if collection is None else [token_of(request, collection)]
        found = (signed_in(token=token, collection=collection) for token in tokens if token)
        known[name] = next((one for one in found if one is not None), None)
    user: SignedIn | None = known[name]
    return user


def _tokens(request: AnyRequest) -> Iterator[str | None]:
    if request.META.get("HTTP_X_SESSION_TOKEN") is not None:
        yield request.META["HTTP_X_SESSION_TOKEN"]
        return
    for name in sorted(request.COOKIES):
        if name.startswith(PREFIX):
            yield token_of(request, name.removeprefix(PREFIX))


def find_user(request: AnyRequest, collection: str | None) -> User | None:
    """The way to find out who is signed in, for ``core.http.signed_in``."""
    found = signed_in_as(request, collection)
    return found.user if found else None


def give(response: HttpResponse, collection: str, token: str) -> None:
    """Hand a new session's token to the client, both ways."""
    response[HEADER] = token
    response.set_cookie(
        PREFIX + collection,
        token,
        max_age=settings.COGLEX_SESSION_ABSOLUTE_SECONDS,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def take_back(response: HttpResponse, collection: str) -> None:
    """Let the browser forget the cookie of a collection."""
    response.delete_cookie(PREFIX + collection, samesite="Lax")
