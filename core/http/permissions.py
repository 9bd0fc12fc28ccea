"""Who may call a view: permission classes for viewsets, and a decorator for plain views.

A permission that refuses leaves its reason on the request; the view raises it (``refuse``), so
that permissions can be composed with ``&``, ``|`` and ``~``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar, NoReturn

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from core.apikeys import Principal, authenticate
from core.errors import CoglexError, Forbidden, InsufficientScope, MissingAPIKey
from core.http import limits
from core.http.carried import AnyRequest, carried
from core.http.signed_in import signed_in_user

View = Callable[..., HttpResponse]


def refuse(request: Request) -> NoReturn:
    """Raise the reason for which a permission refused the request."""
    raise carried(request).refusal or Forbidden()


def identify(request: AnyRequest) -> Principal:
    """The principal of the request's API key; kept on the request, and counted once.

    Raises MissingAPIKey, InvalidAPIKey, or RateLimited.
    """
    held = carried(request)
    if held.principal is not None:
        return held.principal
    key = request.META.get("HTTP_X_API_KEY")
    if not key:
        raise MissingAPIKey
    held.principal = principal = authenticate(key)
    if settings.COGLEX_RATE_API_KEY:
        limits.enforce(request, name="api-key", key=principal.id, rate=settings.COGLEX_RATE_API_KEY)
    return principal


class DenyAll(BasePermission):
    """The default: a view says itself who may call it."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return False


class HasAPIKey(BasePermission):
    """An API key with the scope for this action on the view's service, or its collection."""

    def has_permission(self, request: Request, view: Any) -> bool:
        try:
            self.check(identify(request), request, view)
        except CoglexError as error:
            carried(request).refusal = error
            return False
        return True

    def check(self, principal: Principal, request: Request, view: Any) -> None:
        """Raise InsufficientScope unless the key has the scope."""
        reads = request.method in SAFE_METHODS or view.action in view.read_actions
        action = "read" if reads else "write"
        require(principal, view.service, view.resource, action)


class HasAnyScope(HasAPIKey):
    """An API key with any scope of the view's service; the view looks at each collection."""

    def check(self, principal: Principal, request: Request, view: Any) -> None:
        if not principal.scopes.touch(view.service):
            raise InsufficientScope(f"The API key has no scope of the service {view.service}.")


class HasSession(BasePermission):
    """A session of a signed-in user: of any collection, or of the one named with ``of``."""

    collection: ClassVar[str | None] = None

    @classmethod
    def of(cls, collection: str) -> type[HasSession]:
        """The permission for the users of one collection, such as ``HasSession.of("staff")``."""
        return type(f"HasSessionOf_{collection}", (cls,), {"collection": collection})

    def has_permission(self, request: Request, view: Any) -> bool:
        try:
            signed_in_user(request, self.collection)
        except CoglexError as error:
            carried(request).refusal = error
            return False
        return True


def require(principal: Principal, service: str, collection: str | None, action: str) -> None:
    """Raise InsufficientScope unless the principal may do this."""
    if not principal.scopes.allow(service, collection, action):
        place = service if collection is None else f"{service}/{collection}"
        raise InsufficientScope(f"The API key lacks the scope {place[:100]}:{action}.")


def is_guarded(view: object) -> bool:
    """Whether one of the decorators below says who may call a plain view."""
    return getattr(view, "guarded", False) is True


def _guarded(view: View) -> View:
    vars(view)["guarded"] = True
    return view


def public(view: View) -> View:
    """Let everybody call a plain view."""

    @wraps(view)
    def opened(*args: Any, **kwargs: Any) -> HttpResponse:
        return view(*args, **kwargs)

    return _guarded(opened)


def protected(service: str, collection: str | None = None) -> Callable[[View], View]:
    """Let a plain view be called only with an API key that has the scope: reading for GET and
    HEAD, else writing. ``carried.principal`` says who calls."""

    def decorate(view: View) -> View:
        @_guarded
        @csrf_exempt  # A browser does not send the key on its own.
        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            action = "read" if request.method in SAFE_METHODS else "write"
            require(identify(request), service, collection, action)
            return view(request, *args, **kwargs)

        return checked

    return decorate


def authenticated(collection: str | None = None) -> Callable[[View], View]:
    """Let a plain view be called only by a signed-in user, whose document it gets after the
    request."""

    def decorate(view: View) -> View:
        @_guarded
        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            user = signed_in_user(request, collection)
            return view(request, user, *args, **kwargs)

        return checked

    return decorate
