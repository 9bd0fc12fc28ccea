"""Makes compose's MongoDB a replica set of one, and the user that MONGODB_URI names.

Run by compose.yaml before the server; what is there already stays, but the user's password and
rights are brought up to date.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure
from pymongo.uri_parser import parse_uri

WAIT_SECONDS = 120
# readWrite is not enough: the admin shows how indexes are used.
ROLES = ("readWrite", "dbAdmin")
NOT_YET_INITIALIZED = 94


def held(name: str) -> str:
    """What the file holds that a variable names."""
    return Path(os.environ[name]).read_text(encoding="utf-8").strip()


def initiate(client: MongoClient[dict[str, Any]], name: str, host: str) -> None:
    """Make it a replica set with one member, and wait until that takes writes."""
    try:
        client.admin.command("replSetGetStatus")
    except OperationFailure as error:
        if error.code != NOT_YET_INITIALIZED:
            raise
        members = [{"_id": 0, "host": host}]
        client.admin.command("replSetInitiate", {"_id": name, "members": members})
    deadline = time.monotonic() + WAIT_SECONDS
    while not client.admin.command("hello")["isWritablePrimary"]:
        if time.monotonic() > deadline:
            raise SystemExit(f"{host} does not become the primary of {name}.")
        time.sleep(0.2)


def keep_user(client: MongoClient[dict[str, Any]], user: str, password: str) -> None:
    """Make the user, or bring it up to date; it may use the server's two databases."""
    name = os.environ.get("MONGODB_DATABASE") or "coglex"
    roles = [
        {"role": role, "db": database} for database in (name, f"{name}_internal") for role in ROLES
    ]
    there = client.admin.command("usersInfo", user)["users"]
    client.admin.command("updateUser" if there else "createUser", user, pwd=password, roles=roles)


def main() -> None:
    wanted = parse_uri(held("MONGODB_URI_FILE"))
    host, port = wanted["nodelist"][0]
    with MongoClient[dict[str, Any]](
        host,
        port,
        username="root",
        password=held("MONGODB_ROOT_PASSWORD_FILE"),
        directConnection=True,
        serverSelectionTimeoutMS=WAIT_SECONDS * 1000,
    ) as client:
        initiate(client, wanted["options"]["replicaSet"], f"{host}:{port}")
        keep_user(client, wanted["username"], wanted["password"])


if __name__ == "__main__":
    main()
