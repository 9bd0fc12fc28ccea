"""Many threads share few connections to PostgreSQL; what it cannot hold is the client's error."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from django.db import DataError, InternalError, OperationalError, connection, connections
from django.test import Client, RequestFactory

from core import turns
from core.http import problems
from core.postgresql.base import KEPT
from tests.daemons import OwnPostgreSQL
from tests.processes import SECRET, Served, eventually

WORKERS = 2
LENT = 4
COUNT = """SELECT count(*) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND application_name <> 'test'"""


@pytest.fixture(scope="module")
def postgresql():
    made = OwnPostgreSQL("max_connections=20")
    yield made
    made.remove()


@pytest.fixture
def sql(postgresql, django_db_blocker):
    """This process's connections to it, by the settings that DATABASE_URL makes."""
    place = {"HOST": "127.0.0.1", "PORT": str(postgresql.port), "USER": "owner", "NAME": "postgres"}
    default = connections["default"].settings_dict
    connections.settings["own"] = {
        **default,
        "ENGINE": "core.postgresql",
        "OPTIONS": {"connect_timeout": 3},
        "CONN_MAX_AGE": 0,
        **place,
    }
    made = connections["own"]
    with django_db_blocker.unblock():
        yield made
        made.close()
        made.close_pool()
    del connections["own"]
    del connections.settings["own"]


def backend(wrapper):
    """The process in the server that serves this thread."""
    with wrapper.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]


def test_a_connection_is_given_to_the_next_that_needs_one(sql):
    first = backend(sql)
    sql.close()

    def other():
        wrapper = connections["own"]
        try:
            return backend(wrapper)
        finally:
            wrapper.close()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(other).result() == first
    assert backend(sql) == first


def test_few_are_kept(sql, postgresql):
    barrier = threading.Barrier(10)

    def use(_):
        wrapper = connections["own"]
        backend(wrapper)
        barrier.wait(60)
        wrapper.close()
        barrier.wait(60)

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(use, range(10)))
    eventually(lambda: postgresql.query(COUNT) == [(KEPT,)])


def test_one_that_the_server_ended_is_not_given_away(sql, postgresql):
    ended = backend(sql)
    sql.close()
    postgresql.query(f"SELECT pg_terminate_backend({ended}, 5000)")
    assert backend(sql) != ended


def test_one_in_the_middle_of_a_transaction_is_not_given_away(sql):
    sql.set_autocommit(False)
    broken = backend(sql)
    sql.close()
    assert backend(sql) != broken
    assert sql.get_autocommit()


def test_a_request_that_waits_holds_none(sql):
    with turns.turn():
        first = backend(sql)
        with turns.waiting():
            assert sql.connection is None
        assert backend(sql) == first
    assert sql.connection is None


def test_a_request_gives_up_where_a_command_waits(sql, settings):
    settings.COGLEX_QUERY_TIMEOUT_MS = 200
    with sql.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(0.5)")
    with (
        turns.turn(),
        pytest.raises(OperationalError, match="too long"),
        sql.cursor() as cursor,
    ):
        cursor.execute("SELECT pg_sleep(5)")
    assert backend(sql)


def test_a_fork_leaves_its_parents_connections_alone(sql):
    import multiprocessing

    first = backend(sql)
    sql.close()
    child = multiprocessing.get_context("fork").Process(target=_use_own)
    child.start()
    child.join(30)
    assert child.exitcode == 0
    assert backend(sql) == first


def _use_own():
    backend(connections["own"])
    connections["own"].close()


def test_a_standby_that_takes_no_writes_is_503(sql):
    with sql.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
        with pytest.raises(InternalError) as raised:
            cursor.execute("CREATE TABLE t (n int)")
    answer = problems.respond(raised.value, RequestFactory().get("/"))
    assert (answer.status_code, answer["Retry-After"]) == (503, "1")


def test_what_it_cannot_hold_is_400(sql):
    for statement, value in (("SELECT %s::text", "\0"), ("SELECT %s::int", 2**40)):
        with pytest.raises(DataError) as raised, sql.cursor() as cursor:
            cursor.execute(statement, [value])
        assert problems.respond(raised.value, RequestFactory().get("/")).status_code == 400


@pytest.mark.django_db
def test_a_cookie_with_a_nul_is_no_fault_of_the_server():
    """A quoted cookie can spell any byte; PostgreSQL's text holds all but this one."""
    client = Client(raise_request_exception=False)
    answer = client.get("/admin/", headers={"Cookie": 'sessionid="aaaaaaaaaaaa\\000"'})
    if connection.vendor == "postgresql":
        assert answer.status_code == 400
    else:
        assert answer.status_code == 302
    for query in ("q=%00", "is_staff__exact=%00", "id__exact=99999999999999999999", "o=%00"):
        assert client.get(f"/admin/auth/user/?{query}").status_code == 302
    form = {"username": "a\0b", "password": "\0"}
    assert client.post("/admin/login/", form).status_code == 200


@pytest.mark.slow
def test_sixty_four_threads_a_worker_stay_within_max_connections(tmp_path, postgresql):
    """Twenty connections, three of them kept for superusers: all requests are served."""
    served = Served(
        tmp_path / "var",
        DATABASE_URL=postgresql.url,
        WEB_WORKERS=str(WORKERS),
        COGLEX_BCRYPT_ROUNDS="8",
        **{
            f"COGLEX_RATE_{name}": "1000000/m"
            for name in ("SIGNUP_ADDRESS", "SIGNIN_ADDRESS", "SIGNIN_KEY")
        },
    )
    auth = f"{served.url}/service/auth/v1"
    user = {"_key": "ada@example.com", "_password": "seven tall mountains"}
    served.http.post(f"{auth}/signup/people/", json=user).raise_for_status()

    def sign_in_and_out(_):
        with httpx.Client(headers={"X-API-Key": SECRET}, timeout=120) as client:
            answers = [client.post(f"{auth}/signin/people/", json=user)]
            while "Too many sign-ins at once" in answers[-1].text:
                answers = [client.post(f"{auth}/signin/people/", json=user)]
            token = {"X-Session-Token": answers[0].headers.get("X-Session-Token", "")}
            answers.append(client.get(f"{auth}/session/people/", headers=token))
            answers.append(client.post(f"{auth}/signout/people/", headers=token))
            return [answer.status_code for answer in answers]

    ended = threading.Event()
    most = []

    def watch():
        while not ended.wait(0.05):
            most.append(postgresql.query(COUNT)[0][0])

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        with ThreadPoolExecutor(128) as pool:
            got = list(pool.map(sign_in_and_out, range(256)))
    finally:
        ended.set()
        watching.join()
        served.stop()
    assert got == [[200, 200, 200]] * 256
    # As many as compute, one for the rest, and a few for turns that were lent meanwhile.
    assert 1 <= max(most) <= WORKERS * (turns.TURNS + 1 + LENT)
