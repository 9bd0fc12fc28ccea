"""HTTP for users and sessions: validate, call one service function, answer."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from accounts import schema, services, tokens
from core.data.names import check_collection
from core.errors import NotSignedIn
from core.http import limits
from core.http.addresses import client_address, network_of
from core.http.bodies import object_body
from core.http.carried import principal
from core.http.idempotency import idempotent
from core.http.permissions import HasAPIKey
from core.http.views import ServiceViewSet, answer


class AccountsViewSet(ServiceViewSet):
    """Users and sessions of one collection."""

    service = "auth"
    permission_classes = [HasAPIKey]

    def initial(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        """Count sign-ups and sign-ins of an address before anything is looked at."""
        super().initial(request, *args, **kwargs)
        rates = {
            "signup": settings.COGLEX_RATE_SIGNUP_ADDRESS,
            "signin": settings.COGLEX_RATE_SIGNIN_ADDRESS,
        }
        if self.action in rates:
            limits.enforce(
                request,
                name=f"{self.action}-address",
                key=network_of(client_address(request)),
                rate=rates[self.action],
            )

    @schema.signup
    @idempotent
    def signup(self, request: HttpRequest, collection: str) -> HttpResponse:
        body = object_body(request, {"_key", "_password"}, {"document"})
        user = services.sign_up(
            collection=collection,
            key=body["_key"],
            password=body["_password"],
            document=body.get("document", {}),
            principal=principal(request).id,
        )
        location = f"/service/auth/v1/session/{collection}/"
        return answer(user, status=201, headers={"Location": location})

    @schema.signin
    def signin(self, request: HttpRequest, collection: str) -> HttpResponse:
        body = object_body(request, {"_key", "_password"}, {"query"})
        _count_guess(request, collection, services.normalise_key(body["_key"]))
        user, token = services.sign_in(
            collection=collection,
            key=body["_key"],
            password=body["_password"],
            query=body.get("query"),
            ip=client_address(request),
            user_agent=request.META.get("HTTP_USER_AGENT", ""),
            principal=principal(request).id,
        )
        self._end_former(request, collection)
        response = answer(user)
        tokens.give(response, collection, token)
        return response

    def _end_former(self, request: HttpRequest, collection: str) -> None:
        """The session that was there before is not left behind."""
        former = request.META.get("HTTP_X_SESSION_TOKEN") or request.COOKIES.get(
            tokens.PREFIX + collection
        )
        services.sign_out(token=former, collection=collection, principal=principal(request).id)

    @schema.session
    def session(self, request: HttpRequest, collection: str) -> HttpResponse:
        who = self._who(request, collection)
        about = {"id": who.session["id"], "collection": collection}
        return answer(
            {"user": who.user, "session": {**about, **services.describe_session(who.session)}}
        )

    def _who(self, request: HttpRequest, collection: str) -> services.SignedIn:
        check_collection(collection)
        who = tokens.signed_in_as(request, collection)
        if who is None:
            raise NotSignedIn
        return who

    @schema.signout
    @schema.signout_by_get
    def signout(self, request: HttpRequest, collection: str) -> HttpResponse:
        done = services.sign_out(
            token=tokens.token_of(request, collection),
            collection=collection,
            principal=principal(request).id,
        )
        response = answer({"signed_out": done})
        tokens.take_back(response, collection)
        return response

    @schema.refresh
    def refresh(self, request: HttpRequest, collection: str) -> HttpResponse:
        who = self._who(request, collection)
        body = object_body(request, set(), {"document", "_password", "_current_password"})
        if body.get("_current_password") is not None:
            _count_guess(request, collection, who.user["_key"])
        user = services.refresh(
            who=who,
            document=body.get("document"),
            password=body.get("_password"),
            current_password=body.get("_current_password"),
            principal=principal(request).id,
        )
        return answer(user)

    @schema.sessions
    def sessions(self, request: HttpRequest, collection: str) -> HttpResponse:
        return answer(services.list_sessions(who=self._who(request, collection)))

    @schema.revoke
    def revoke(self, request: HttpRequest, collection: str, session_id: str) -> HttpResponse:
        revoked = services.revoke_session(
            who=self._who(request, collection),
            session_id=session_id,
            principal=principal(request).id,
        )
        return answer({"revoked": revoked})


def _count_guess(request: HttpRequest, collection: str, key: str) -> None:
    """Count a password that is going to be checked, whoever sends it from wherever."""
    limits.enforce(
        request,
        name="signin-key",
        key=sha256(f"{collection}\0{key}".encode()).hexdigest(),
        rate=settings.COGLEX_RATE_SIGNIN_KEY,
    )
