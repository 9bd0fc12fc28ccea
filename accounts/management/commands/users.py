"""`manage.py users`: what operators do with users, by collection and ``_key`` or ``_id``."""

from __future__ import annotations

import getpass
import sys
from argparse import ArgumentParser
from collections.abc import Callable

from accounts import operations, services
from core.commands import Options, ServiceCommand, json_option
from core.data.encoding import dumps

BY = "cli"


def _line(found: services.Document) -> str:
    state = "disabled" if found["disabled"] else "active"
    user = found["user"]
    return f"{user['_id']}  {state:<8} {user['_key']}  {len(found['sessions'])} sessions"


class Command(ServiceCommand):
    help = "List, show, make, disable, enable and delete users; their passwords and sessions."
    hint = "`manage.py users list` shows what there is."

    def declare(self, add: Callable[..., ArgumentParser]) -> None:
        listing = add("list", "the user collections, or the users of one")
        listing.add_argument("collection", nargs="?")
        listing.add_argument("--query", type=json_option, help="a filter, as JSON")
        listing.add_argument("--limit", type=int, default=100)
        listing.add_argument("--skip", type=int, default=0)
        for name, what in (
            ("show", "a user with the sessions"),
            ("create", "make a user"),
            ("disable", "end the sessions and let nobody in"),
            ("enable", "let the user in again"),
            ("set-password", "give the user another password and end the sessions"),
            ("end-sessions", "end all sessions, or one"),
            ("delete", "delete the user"),
        ):
            command = add(name, what, dry_run=name in {"end-sessions", "delete"})
            command.add_argument("collection")
            command.add_argument("key", help="the user's _key, or _id")
            if name == "create":
                command.add_argument("--document", type=json_option, default={}, help="JSON")
            if name in {"create", "set-password"}:
                command.add_argument(
                    "--password-stdin", action="store_true", help="read it from standard input"
                )
            if name == "end-sessions":
                command.add_argument("--session", help="the id of one session")

    def _list(self, options: Options) -> None:
        if options["collection"] is None:
            kinds = operations.list_collections()
            self.say(options, kinds, *(f"{kind['name']}  {kind['count']}" for kind in kinds))
            return
        found = operations.list_users(
            collection=options["collection"],
            query=options["query"],
            limit=options["limit"],
            skip=options["skip"],
        )
        self.say(options, found, *map(_line, found))

    def _user(self, options: Options) -> dict[str, str]:
        collection = options["collection"]
        user_id = operations.find_id(collection=collection, key=options["key"])
        return {"collection": collection, "user_id": user_id}

    def _show(self, options: Options) -> None:
        found = operations.get_user(**self._user(options))
        self.say(options, found, dumps(found).decode())

    def _create(self, options: Options) -> None:
        user = services.sign_up(
            collection=options["collection"],
            key=options["key"],
            password=self._password(options),
            document=options["document"],
            principal=BY,
        )
        self.say(options, user, f"Made {user['_key']}, {user['_id']}.")

    def _password(self, options: Options) -> str:
        if options["password_stdin"]:
            return sys.stdin.readline().rstrip("\n")
        return getpass.getpass("Password: ")

    def _disable(self, options: Options) -> None:
        operations.disable_user(**self._user(options), by=BY)
        self.say(options, {"disabled": True}, "Disabled; nobody is signed in as this user.")

    def _enable(self, options: Options) -> None:
        operations.enable_user(**self._user(options), by=BY)
        self.say(options, {"disabled": False}, "Enabled.")

    def _set_password(self, options: Options) -> None:
        user = self._user(options)
        operations.set_password(**user, password=self._password(options), by=BY)
        self.say(options, {"password": "set"}, "Set; the user must sign in again.")

    def _end_sessions(self, options: Options) -> None:
        user, one = self._user(options), options["session"]
        if options["dry_run"]:
            sessions = operations.get_user(**user)["sessions"]
            count = sum(1 for each in sessions if one in {None, each["id"]})
            self.say(options, {"would_end": count}, f"Would end {count} sessions.")
            return
        count = operations.end_sessions(**user, session_id=one, by=BY)
        self.say(options, {"ended": count}, f"Ended {count} sessions.")

    def _delete(self, options: Options) -> None:
        user = self._user(options)
        if options["dry_run"]:
            self.say(options, {"would_delete": user["user_id"]}, f"Would delete {user['user_id']}.")
            return
        operations.delete_user(**user, by=BY)
        self.say(options, {"deleted": user["user_id"]}, f"Deleted {user['user_id']}.")
