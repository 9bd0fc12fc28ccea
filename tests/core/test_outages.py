"""PostgreSQL and Redis go away and come back while clients and operators are at work."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from core.outages import Outage
from tests.daemons import OwnPostgreSQL, OwnRedis
from tests.processes import ROOT, Served, environment, eventually, free_port

ASKED = ("ask_with_a_key", "sign_in", "sign_in_to_the_admin", "ask_if_ready")
USER = {"_key": "ada@example.com", "_password": "seven tall mountains"}


class Refused(Exception):
    """What others are told."""


class Gone(Exception):
    """The sign of an outage."""


def test_during_an_outage_one_waits_and_the_others_hear_at_once():
    outage = Outage(Refused)
    with pytest.raises(Gone), outage.watch(Gone):
        raise Gone
    asked, answer = threading.Event(), threading.Event()

    def wait():
        with outage.watch(Gone):
            asked.set()
            assert answer.wait(60)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait)
        assert asked.wait(60)
        with pytest.raises(Refused), outage.watch(Gone):
            pytest.fail("asked a server that is out")
        answer.set()
        waiting.result()
    with outage.watch(Gone), outage.watch(Gone):
        pass


def test_what_is_no_sign_of_an_outage_is_none():
    outage = Outage(Refused)
    for _ in range(2):
        with pytest.raises(ValueError, match="x"), outage.watch(Gone):
            raise ValueError("x")
    for _ in range(2):
        with pytest.raises(Gone), outage.watch(Gone):
            raise Gone
    with outage.watch(Gone), pytest.raises(Refused), outage.watch(Gone):
        pytest.fail("asked while another asks")


@pytest.fixture(scope="module")
def own_redis(tmp_path_factory):
    made = OwnRedis(tmp_path_factory.mktemp("redis"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def own_postgresql():
    made = OwnPostgreSQL()
    yield made
    made.remove()


@pytest.fixture(scope="module")
def served(tmp_path_factory, own_redis, own_postgresql):
    rates = ("API_KEY", "SIGNUP_ADDRESS", "SIGNIN_ADDRESS", "SIGNIN_KEY")
    made = Served(
        tmp_path_factory.mktemp("outages") / "var",
        DATABASE_URL=own_postgresql.url,
        REDIS_URL=own_redis.url,
        WEB_WORKERS="1",
        COGLEX_BCRYPT_ROUNDS="4",
        **{f"COGLEX_RATE_{name}": "1000000/m" for name in rates},
    )
    yield made
    made.stop()


class Traffic:
    """Clients and operators who go on asking; what they got is counted."""

    def __init__(self, served):
        self.url = served.url
        ran = subprocess.run(
            [sys.executable, "manage.py", "apikeys", "create", "x", "--scope", "*"],
            cwd=ROOT,
            env=environment(served.data_dir, DATABASE_URL=served.more["DATABASE_URL"]),
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.key = ran.stdout.split()[0]
        self.password = re.search(r"admin, password (\S+)", served.output.read_text())[1]
        with self.client() as client:
            client.post("/service/auth/v1/signup/people/", json=USER)
        self._got = Counter()
        self._lock = threading.Lock()
        self.faults = []
        self._ending = threading.Event()
        asked = [getattr(self, name) for name in ASKED * 2]
        self._threads = [threading.Thread(target=self._go_on, args=(each,)) for each in asked]

    def client(self, **headers):
        headers = {"X-API-Key": self.key, **headers}
        return httpx.Client(base_url=self.url, headers=headers, timeout=120)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def _go_on(self, ask):
        while not self._ending.is_set():
            with self.client() as client:
                self._note(ask.__name__, ask(client))

    def _note(self, name, answer):
        with self._lock:
            self._got[name, answer.status_code] += 1
        if answer.status_code == 503:
            body = answer.json()
            sound = (
                answer.headers["Content-Type"] == "application/problem+json"
                and int(answer.headers["Retry-After"]) >= 1
                and body["status"] == 503
                and body["code"].endswith("unavailable")
            )
            if not sound:
                self.faults.append((name, answer.headers, answer.text))
        elif answer.status_code not in {200, 302}:
            self.faults.append((name, answer.status_code, answer.text))

    def ask_with_a_key(self, client):
        return client.get("/service/storage/v1/things/")

    def sign_in(self, client):
        answer = client.post("/service/auth/v1/signin/people/", json=USER)
        if answer.status_code != 200:
            return answer
        token = {"X-Session-Token": answer.headers["X-Session-Token"]}
        return client.get("/service/auth/v1/session/people/", headers=token)

    def sign_in_to_the_admin(self, client):
        form = client.get("/admin/login/")
        if form.status_code != 200:
            return form
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form.text)[1]
        typed = {"username": "admin", "password": self.password, "csrfmiddlewaretoken": token}
        # httpx keeps a cookie that is for https only to itself.
        cookies = {"Cookie": f"csrftoken={form.cookies['csrftoken']}"}
        answer = client.post("/admin/login/", data=typed, headers=cookies)
        if answer.status_code != 302:
            return answer
        return client.get(
            "/admin/core/apikey/", headers={"Cookie": f"sessionid={answer.cookies['sessionid']}"}
        )

    def ask_if_ready(self, client):
        return client.get("/readyz")

    def got(self):
        """How often each kind of request got each status."""
        with self._lock:
            return dict(self._got)

    def is_served(self):
        """Whether every kind of request gets its answers, and none is refused meanwhile."""
        with self._lock:
            self._got.clear()
        eventually(lambda: {name for name, _ in self.got()} == set(ASKED), 120)
        return all(status != 503 for _, status in self.got())

    def has_refused(self, *names):
        """Whether these kinds of request have been refused."""
        return {name for name, status in self.got() if status == 503} >= set(names)


@pytest.fixture
def traffic(served):
    with Traffic(served) as made:
        eventually(made.is_served)
        yield made


def failed_parts(served):
    return [each["parameter"] for each in httpx.get(f"{served.url}/readyz").json()["errors"]]


@pytest.mark.slow
def test_redis_goes_away_and_comes_back(served, traffic, own_redis):
    own_redis.stop()
    eventually(lambda: traffic.has_refused(*ASKED))
    assert failed_parts(served) == ["cache"]
    own_redis.start()
    eventually(traffic.is_served)
    assert traffic.faults == []


@pytest.mark.slow
def test_redis_is_started_anew(served, traffic, own_redis):
    own_redis.stop()
    own_redis.start()
    eventually(traffic.is_served)
    assert traffic.faults == []


@pytest.mark.slow
def test_redis_answers_nothing(served, traffic, own_redis):
    own_redis.freeze()
    try:
        eventually(lambda: traffic.has_refused(*ASKED))
        assert failed_parts(served) == ["cache"]
    finally:
        own_redis.thaw()
    eventually(traffic.is_served)
    assert traffic.faults == []


@pytest.mark.slow
def test_postgresql_goes_away_and_comes_back(served, traffic, own_postgresql):
    own_postgresql.stop()
    eventually(lambda: traffic.has_refused(*ASKED))
    assert failed_parts(served) == ["django_database"]
    own_postgresql.start()
    eventually(traffic.is_served)
    assert traffic.faults == []


@pytest.mark.slow
def test_postgresql_answers_nothing(served, traffic, own_postgresql):
    own_postgresql.freeze()
    try:
        eventually(lambda: traffic.has_refused(*ASKED), 120)
        assert failed_parts(served) == ["django_database"]
        assert served.http.get(f"{served.storage}/things/").status_code == 200
    finally:
        own_postgresql.thaw()
    eventually(traffic.is_served)
    assert traffic.faults == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [("apikeys", "list"), ("apikeys", "create", "x", "--scope", "*"), ("serve",)]
)
def test_a_command_without_postgresql_says_so_in_a_sentence(tmp_path, command, mongodb):
    ran = subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=ROOT,
        env=environment(
            tmp_path / "var",
            DATABASE_URL=f"postgres://u:hidden@127.0.0.1:{free_port()}/x",
            MONGODB_URI=mongodb,
            PORT=str(free_port()),
        ),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 1
    assert "CommandError: Django's database does not work: connection failed" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert "hidden" not in ran.stderr
