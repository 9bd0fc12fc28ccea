"""Operators' pages of users: search them, see and end sessions, disable, set a password, delete."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from accounts import operations
from accounts.models import User
from core import dashboard
from core.adminpages import (
    Action,
    Input,
    ListPage,
    ObjectPage,
    PartAdmin,
    Row,
    Table,
    condition_of,
    operator,
    page_of,
)
from core.admintext import moment, pretty, state
from core.errors import NotFound


@admin.register(User)
class UserAdmin(PartAdmin):
    """The users of one collection after the other."""

    def filters(self, request: HttpRequest) -> Sequence[Input]:
        kinds = operations.list_collections()
        given = request.GET
        chosen = given.get("collection", "") or (kinds[0]["name"] if kinds else "")
        names = [(kind["name"], f"{kind['name']} ({kind['count']})") for kind in kinds]
        return [
            Input("collection", "Collection", chosen, "select", names),
            Input("q", "Key begins with", given.get("q", "")),
            Input("query", "Query", given.get("query", ""), hint='{"active": true}'),
        ]

    def list_page(self, request: HttpRequest) -> ListPage:
        filters = self.filters(request)
        collection, begins, query = (each.value for each in filters)
        if not collection:
            return ListPage(Table((), (), empty="Nobody has signed up yet."))
        condition = _condition(begins, query)
        found, more = page_of(
            request,
            lambda limit, skip: operations.list_users(
                collection=collection, query=condition, limit=limit, skip=skip
            ),
        )
        rows = [_row(collection, each) for each in found]
        columns = ["Key", "State", "Signed up", "Last signed in", "Sessions"]
        return ListPage(Table(columns, rows, empty="No user fits."), filters, more)

    def object_page(self, request: HttpRequest, key: str) -> ObjectPage:
        found = operations.get_user(**_place(key))
        disabled = found["disabled"]
        sessions = [
            Row(
                [
                    each["ip"],
                    each["user_agent"],
                    moment(each["signed_in_at"]),
                    moment(each["last_seen_at"]),
                ],
                actions=[Action("end", "End", value=each["id"])],
            )
            for each in found["sessions"]
        ]
        columns = ["Address", "User agent", "Signed in", "Last seen", ""]
        return ObjectPage(
            title=found["user"]["_key"],
            facts=[
                ("State", state("disabled" if disabled else "active")),
                ("Collection", key.partition("/")[0]),
                ("Id", found["user"]["_id"]),
                ("Signed up", moment(found["created_at"])),
                ("Password changed", moment(found["password_changed_at"])),
                ("Last signed in", moment(found["last_signed_in_at"])),
            ],
            texts=[("Document", pretty(found["user"]))],
            tables=[Table(columns, sessions, "Sessions", "Signed in nowhere.")],
            actions=[
                Action("end", "End all sessions"),
                Action("enable", "Enable") if disabled else Action("disable", "Disable"),
                Action(
                    "password", "Set password", [Input("password", "New password", "", "password")]
                ),
                Action("delete", "Delete user", permission="delete", danger=True),
            ],
        )

    def act(self, request: HttpRequest, key: str, action: str, value: str) -> str:
        place, by = _place(key), operator(request)
        if action == "end":
            ended = operations.end_sessions(**place, session_id=value or None, by=by)
            return f"Ended {ended} sessions."
        if action == "disable":
            operations.disable_user(**place, by=by)
            return "Disabled; all sessions have ended."
        if action == "enable":
            operations.enable_user(**place, by=by)
            return "Enabled."
        if action == "password":
            password = request.POST.get("password", "")
            operations.set_password(**place, password=password, by=by)
            return "The password is set; all sessions have ended."
        if action == "delete":
            operations.delete_user(**place, by=by)
            return "Deleted."
        raise NotFound


def _place(key: str) -> dict[str, str]:
    collection, _, user_id = key.partition("/")
    return {"collection": collection, "user_id": user_id}


def _condition(begins: str, query: str) -> object:
    """The filter of the search: what the query says, and the beginning of the key."""
    parts = [{"_key": {"$regex": "^" + re.escape(begins.casefold())}}] if begins else []
    return condition_of(query, *parts)


def _row(collection: str, found: dict[str, Any]) -> Row:
    cells = [
        found["user"]["_key"],
        state("disabled" if found["disabled"] else "active"),
        moment(found["created_at"]),
        moment(found["last_signed_in_at"]),
        len(found["sessions"]),
    ]
    return Row(cells, key=f"{collection}/{found['user']['_id']}")


def _last_day(since: datetime) -> dashboard.Facts:
    total = sum(kind["count"] for kind in operations.list_collections())
    counted = dashboard.audited(
        since,
        ("Signed in", "auth.signin", "success"),
        ("Refused", "auth.signin", "failure"),
        ("Signed up", "auth.signup", "success"),
    )
    return [("Users", total), *counted]


dashboard.add_panel(
    "Users",
    permission="accounts.view_user",
    url="admin:accounts_user_changelist",
    facts=_last_day,
)
