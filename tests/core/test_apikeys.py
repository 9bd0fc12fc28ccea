"""API keys: who calls, what they may do, and for how long that is believed."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from io import StringIO

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.utils import timezone

from core import apikeys, audit
from core.errors import APIKeyNotFound, InvalidAPIKey, InvalidInput
from core.models import APIKey
from core.scopes import parse_scopes
from tests.conftest import APIClient, assert_problem

pytestmark = pytest.mark.django_db
PATH = "/service/storage/v1/things/"


@pytest.fixture(autouse=True)
def nothing_believed():
    apikeys._seen.clear()
    yield
    apikeys._seen.clear()


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves, for ``time.time`` as core.apikeys sees it and Django's."""
    import time

    state = {"ahead": 0.0}
    real_time, real_now = time.time, timezone.now
    monkeypatch.setattr(apikeys.time, "time", lambda: real_time() + state["ahead"])
    monkeypatch.setattr(timezone, "now", lambda: real_now() + timedelta(seconds=state["ahead"]))

    def move(seconds):
        state["ahead"] += seconds

    return move


def create(*scopes, **options):
    return apikeys.create_key(name="test", scopes=list(scopes), **options)


def test_a_key_is_a_prefix_and_a_secret_and_only_its_digest_is_kept():
    record, key = create("storage:read")
    assert re.fullmatch(r"cgx_[a-z0-9]{8}_[A-Za-z0-9_-]{43}", key)
    assert key.split("_")[1] == record.prefix
    kept = APIKey.objects.filter(pk=record.pk).values().get()
    assert kept["digest"] == __import__("hashlib").sha256(key.encode()).hexdigest()
    assert key.split("_", 2)[2] not in json.dumps(kept, default=str)


def test_the_server_secret_may_do_everything_without_a_query(django_assert_num_queries):
    with django_assert_num_queries(0):
        principal = apikeys.authenticate(settings.SERVER_SECRET)
    assert (principal.id, principal.scopes.everything) == ("bootstrap", True)


def test_a_key_seen_in_the_last_five_seconds_costs_no_query(clock, django_assert_num_queries):
    _, key = create("storage:read")
    first = apikeys.authenticate(key)
    with django_assert_num_queries(0):
        assert apikeys.authenticate(key) is first
        clock(4.9)
        assert apikeys.authenticate(key) is first
    clock(0.2)
    with django_assert_num_queries(1):
        assert apikeys.authenticate(key) == first


def test_revoking_works_at_once_here_and_within_five_seconds_elsewhere(clock):
    record, key = create("storage:read")
    apikeys.authenticate(key)
    # Another process revokes: only its own memory is emptied.
    APIKey.objects.filter(pk=record.pk).update(revoked_at=timezone.now())
    clock(5.0)
    with pytest.raises(InvalidAPIKey):
        apikeys.authenticate(key)
    _, other = create("storage:read")
    apikeys.authenticate(other)
    apikeys.revoke_key(other.split("_")[1])
    with pytest.raises(InvalidAPIKey):
        apikeys.authenticate(other)


def test_an_expiry_is_kept_to_the_moment_though_the_key_was_just_seen(clock):
    _, key = create("storage:read", expires_at=timezone.now() + timedelta(seconds=2))
    apikeys.authenticate(key)
    clock(1.5)
    apikeys.authenticate(key)
    clock(0.6)
    with pytest.raises(InvalidAPIKey):
        apikeys.authenticate(key)


def test_the_last_use_is_noted_at_most_once_a_minute(clock):
    record, key = create("storage:read")
    assert record.last_used_at is None
    apikeys.authenticate(key)
    record.refresh_from_db()
    first = record.last_used_at
    assert first is not None
    clock(10)
    apikeys.authenticate(key)
    record.refresh_from_db()
    assert record.last_used_at == first
    clock(60)
    apikeys.authenticate(key)
    record.refresh_from_db()
    assert record.last_used_at > first


def test_unknown_expired_revoked_and_missing_keys_are_401(clock):
    _, revoked = create("*")
    apikeys.revoke_key(revoked.split("_")[1])
    _, expired = create("*", expires_at=timezone.now() + timedelta(seconds=1))
    clock(2)
    _, known = create("*")
    bodies = set()
    for key in (revoked, expired, known[:-1] + "x", "cgx_abcdefgh_" + "x" * 43, "x", "cgx__"):
        answer = APIClient(key).get(PATH)
        problem = assert_problem(answer, 401, "invalid_api_key")
        assert answer["WWW-Authenticate"] == "ApiKey"
        bodies.add(problem["detail"])
    assert len(bodies) == 1
    missing = APIClient("").get(PATH)
    assert_problem(missing, 401, "missing_api_key")
    assert missing["WWW-Authenticate"] == "ApiKey"


@pytest.mark.parametrize(
    "key", ["x" * 100_000, "é", "cgx_\x00\x00\x00\x00\x00\x00\x00\x00_x", "cgx_a'b\"c;d_x", "💥"]
)
def test_garbage_for_a_key_is_401(key):
    assert_problem(APIClient(key).get(PATH), 401, "invalid_api_key")


def test_scopes_allow_what_they_name_and_nothing_else():
    scopes = parse_scopes(["storage/products:read", "auth/users:*", "archive:write"])
    allowed = {
        ("storage", "products", "read"),
        ("auth", "users", "read"),
        ("auth", "users", "write"),
        ("archive", None, "write"),
        ("archive", "anything", "write"),
    }
    for service in ("storage", "auth", "archive", "payment", "metrics"):
        for collection in (None, "products", "users", "anything", "Products"):
            for action in ("read", "write"):
                expected = (service, collection, action) in allowed or (
                    service == "archive" and action == "write"
                )
                assert scopes.allow(service, collection, action) is expected
    assert parse_scopes(["*"]).allow("payment", None, "write")


@pytest.mark.parametrize(
    "scope",
    ["", "storage", "storage:", ":read", "storage:delete", "Storage:read", "shop:read", "**",
     "storage/:read", "storage/a..b:read", "storage/system.x:read", "storage/a/b:read", 5, None,
     "storage:read ", "*:*", "storage/a b:read"],
)  # fmt: skip
def test_a_scope_of_another_form_is_refused(scope):
    with pytest.raises(InvalidInput) as caught:
        parse_scopes(["storage:read", scope])
    assert caught.value.errors[0].pointer == "/1"


def test_a_key_needs_a_scope_a_name_and_a_future():
    for options in (
        {"name": "x", "scopes": []},
        {"name": " ", "scopes": ["*"]},
        {"name": "x" * 101, "scopes": ["*"]},
        {"name": "x", "scopes": ["*"], "expires_at": timezone.now() - timedelta(1)},
    ):
        with pytest.raises(InvalidInput):
            apikeys.create_key(**options)
    assert not APIKey.objects.exists()


def test_reading_and_writing_need_their_scopes(api_with, collection):
    base = f"/service/storage/v1/{collection}/"
    reader, writer = api_with(f"storage/{collection}:read"), api_with(f"storage/{collection}:write")
    one = {"op": "insert", "collection": collection, "document": {"_id": "b"}}
    reads = [
        lambda c: c.get(base),
        lambda c: c.head(base),
        lambda c: c.get(base + "a"),
        lambda c: c.send("POST", base + "aggregate", {"pipeline": []}),
    ]
    writes = [
        lambda c: c.send("POST", base, {}),
        lambda c: c.send("PUT", base + "a", {}),
        lambda c: c.send("PATCH", base + "a", {"n": 1}),
        lambda c: c.send("PATCH", base + "?query={}", {"n": 1}),
        lambda c: c.send("POST", "/service/storage/v1/", {"operations": [one]}),
        lambda c: c.delete(base + "a"),
        lambda c: c.delete(base + "?query={}"),
    ]
    for call in writes:
        assert call(reader).status_code == 403
        assert call(writer).status_code in {200, 201}
        writer.send("PUT", base + "a", {})
    for call in reads:
        assert call(reader).status_code == 200
        assert call(writer).status_code == 403
    assert_problem(reader.get(f"/service/storage/v1/{collection}x/"), 403, "insufficient_scope")


def test_joins_need_the_read_scope_of_what_they_join(api_with, collection):
    reader = api_with(f"storage/{collection}:read")
    path = f"/service/storage/v1/{collection}/aggregate"
    for stage in (
        {"$unionWith": "secrets"},
        {"$lookup": {"from": "secrets", "as": "x", "pipeline": []}},
        {"$facet": {"x": [{"$unionWith": {"coll": "secrets"}}]}},
        {"$graphLookup": {"from": "secrets", "startWith": 1, "connectFromField": "a",
                          "connectToField": "a", "as": "x"}},
    ):  # fmt: skip
        answer = reader.send("POST", path, {"pipeline": [stage]})
        assert_problem(answer, 403, "insufficient_scope")


def test_a_batch_needs_the_write_scope_of_every_collection(api_with, collection, documents):
    writer = api_with(f"storage/{collection}:write")
    here = {"op": "insert", "collection": collection, "document": {}}
    there = {**here, "collection": "elsewhere"}
    answer = writer.send("POST", "/service/storage/v1/", {"operations": [here, there]})
    problem = assert_problem(answer, 403, "insufficient_scope")
    assert problem["errors"][0]["pointer"] == "/operations/1"
    assert documents.count_documents({}) == 0


def test_the_root_shows_what_the_key_may_read(api, api_with, collection):
    api.send("POST", f"/service/storage/v1/{collection}/", {})
    api.send("POST", f"/service/storage/v1/{collection}x/", {})
    seen = api_with(f"storage/{collection}:read").get("/service/storage/v1/").json()
    assert seen == [{"name": collection, "count": 1}]
    assert api_with(f"storage/{collection}:write").get("/service/storage/v1/").json() == []
    denied = api_with("auth:read").get("/service/storage/v1/")
    assert_problem(denied, 403, "insufficient_scope")
    api.delete(f"/service/storage/v1/{collection}x/?query={{}}")


def run(*arguments):
    out = StringIO()
    call_command("apikeys", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_makes_lists_rotates_and_revokes_keys():
    made = json.loads(
        run("create", "shop", "--scope", "storage:read", "--scope", "auth/users:*",
            "--expires-in", "90d", "--json")
    )  # fmt: skip
    assert apikeys.authenticate(made["key"]).name == "shop"
    assert made["scopes"] == ["storage:read", "auth/users:*"]
    listed = json.loads(run("list", "--json"))
    assert [key["prefix"] for key in listed] == [made["prefix"]]
    assert "key" not in listed[0]
    assert made["prefix"] in run("list")
    assert "Would revoke" in run("revoke", made["prefix"], "--dry-run")
    apikeys.authenticate(made["key"])
    rotated = json.loads(run("rotate", made["prefix"], "--grace", "1h", "--json"))
    assert apikeys.authenticate(rotated["key"]).scopes == apikeys.authenticate(made["key"]).scopes
    assert rotated["expires_at"] == made["expires_at"]
    assert "Revoked" in run("revoke", rotated["prefix"])
    with pytest.raises(InvalidAPIKey):
        apikeys.authenticate(rotated["key"])
    actions = [entry["action"] for entry in audit.find(principal="cli", limit=4)]
    assert sorted(actions) == ["apikey.create", "apikey.create", "apikey.revoke", "apikey.rotate"]


def test_rotating_without_grace_ends_the_old_key_at_once():
    record, key = create("*")
    apikeys.rotate_key(record.prefix)
    with pytest.raises(InvalidAPIKey):
        apikeys.authenticate(key)
    with pytest.raises(InvalidInput):
        apikeys.rotate_key(record.prefix)


@pytest.mark.parametrize(
    "arguments",
    [
        ("revoke", "nothing1"),
        ("rotate", "nothing1"),
        ("create", "x", "--scope", "nonsense"),
        ("create", "x"),
        ("create", "x", "--scope", "*", "--expires-in", "soon"),
    ],
)
def test_the_command_says_what_is_wrong(arguments):
    with pytest.raises(CommandError) as caught:
        run(*arguments)
    assert str(caught.value)


def test_an_unknown_prefix_is_not_found():
    with pytest.raises(APIKeyNotFound):
        apikeys.revoke_key("nothing1")


class TestAdmin:
    """The admin's page of keys."""

    LIST = "/admin/core/apikey/"

    def test_a_key_is_made_shown_once_and_revoked(self, admin_client):
        form = {"name": "phone", "scopes": "storage:read\nauth/users:*", "note": ""}
        page = admin_client.post(f"{self.LIST}add/", form, follow=True).content.decode()
        key = re.search(r"cgx_[a-z0-9]{8}_[A-Za-z0-9_-]{43}", page)[0]
        assert apikeys.authenticate(key).name == "phone"
        assert key not in admin_client.get(self.LIST).content.decode()
        record = APIKey.objects.get()
        assert record.scopes == ["storage:read", "auth/users:*"]
        changed = admin_client.get(f"{self.LIST}{record.pk}/change/").content.decode()
        assert record.digest not in changed
        admin_client.post(
            self.LIST, {"action": "revoke", "_selected_action": [record.pk]}, follow=True
        )
        with pytest.raises(InvalidAPIKey):
            apikeys.authenticate(key)
        assert audit.find(limit=1)[0]["principal"] == "admin:admin"

    def test_only_name_and_note_can_be_edited_and_nothing_deleted(self, admin_client):
        record, _ = create("storage:read")
        url = f"{self.LIST}{record.pk}/"
        admin_client.post(
            f"{url}change/", {"name": "new", "note": "n", "scopes": "*", "digest": "0" * 64}
        )
        after = APIKey.objects.get()
        assert (after.name, after.note, after.scopes) == ("new", "n", ["storage:read"])
        assert after.digest == record.digest
        assert admin_client.post(f"{url}delete/", {"post": "yes"}).status_code == 403

    def test_a_wrong_scope_is_a_form_error(self, admin_client):
        page = admin_client.post(f"{self.LIST}add/", {"name": "x", "scopes": "all"})
        assert b"A scope is *" in page.content
        assert not APIKey.objects.exists()

    def test_rotating_shows_the_new_key(self, admin_client):
        record, old = create("storage:read")
        page = admin_client.post(
            self.LIST, {"action": "rotate", "_selected_action": [record.pk]}, follow=True
        ).content.decode()
        new = re.search(r"cgx_[a-z0-9]{8}_[A-Za-z0-9_-]{43}", page)[0]
        assert new != old
        assert apikeys.authenticate(new).scopes == parse_scopes(["storage:read"])

    def test_an_operator_without_the_permission_is_refused(self, client, django_user_model):
        django_user_model.objects.create_user("op", password="secret-1", is_staff=True)
        client.login(username="op", password="secret-1")
        assert client.get(self.LIST).status_code == 403
