"""How often somebody may guess, from wherever and however it is spelled."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.cache import cache
from django.db import connection

from accounts import passwords
from tests.accounts.conftest import BASE, PASSWORD
from tests.conftest import APIClient, assert_problem


@pytest.fixture(autouse=True)
def strict(settings, one_window):
    cache.clear()
    settings.COGLEX_RATE_SIGNUP_ADDRESS = "5/h"
    settings.COGLEX_RATE_SIGNIN_ADDRESS = "30/h"
    settings.COGLEX_RATE_SIGNIN_KEY = "10/h"
    yield
    cache.clear()


@pytest.fixture
def checks(monkeypatch):
    """Counts the passwords that were looked at."""
    seen = []
    verify = passwords.verify_password
    monkeypatch.setattr(
        passwords, "verify_password", lambda *given: (seen.append(1), verify(*given))[1]
    )
    return seen


def guess(people, number, key="ada@example.com", path=None, client=None, **headers):
    body = {"_key": key, "_password": f"wrong horse {number}"}
    return (client or APIClient()).send("POST", path or f"{BASE}/signin/{people}/", body, **headers)


def test_the_headers_say_how_much_is_left(people, db):
    answer = guess(people, 0)
    assert answer["RateLimit-Policy"] == '"signin-address";q=30;w=3600, "signin-key";q=10;w=3600'
    assert answer["RateLimit"].startswith('"signin-address";r=29;t=')
    for number in range(1, 10):
        assert guess(people, number).status_code == 401
    answer = guess(people, 10)
    assert_problem(answer, 429, "rate_limited")
    assert 1 <= int(answer["Retry-After"]) <= 3600
    assert '"signin-key";r=0' in answer["RateLimit"]


def test_a_thousand_guesses_get_no_more_than_the_allowed_checks(people, checks, db):
    for number in range(1000):
        path = f"{BASE}/signin/{people}" + "/" * (number % 2)
        key = ["ada@example.com", "ADA@Example.com", " ada@example.com "][number % 3]
        headers = {
            "X_Forwarded_For": f"10.0.0.{number % 50}",
            "Forwarded": f"for=10.0.0.{number % 50}",
            "X_Real_IP": f"10.0.0.{number % 50}",
            "X_HTTP_Method_Override": "POST",
        }
        assert guess(people, number, key, path, **headers).status_code in {401, 429}
    assert len(checks) == 10


def test_one_address_may_not_try_many_keys(people, checks, db):
    statuses = [guess(people, n, f"user{n}").status_code for n in range(40)]
    assert statuses == [401] * 30 + [429] * 10
    assert len(checks) == 30


def test_one_key_may_not_be_tried_from_many_addresses(people, checks, settings, db):
    settings.COGLEX_TRUSTED_PROXIES = ["127.0.0.1"]
    statuses = [guess(people, n, X_Forwarded_For=f"198.51.100.{n}").status_code for n in range(20)]
    assert statuses == [401] * 10 + [429] * 10


def test_forwarded_addresses_count_behind_a_trusted_proxy_only(people, settings, db):
    body = {"_password": PASSWORD}

    def sign_up(n):
        return APIClient().send(
            "POST",
            f"{BASE}/signup/{people}",
            {"_key": f"user{n}", **body},
            X_Forwarded_For=f"198.51.100.{n}",
        )

    assert [sign_up(n).status_code for n in range(7)] == [201] * 5 + [429] * 2
    settings.COGLEX_TRUSTED_PROXIES = ["127.0.0.1"]
    assert [sign_up(n).status_code for n in range(10, 17)] == [201] * 7


def test_an_ipv6_client_is_its_network(people, settings, db):
    settings.COGLEX_TRUSTED_PROXIES = ["127.0.0.1"]
    statuses = [
        guess(people, n, f"user{n}", X_Forwarded_For=f"2001:db8::{n:x}").status_code
        for n in range(35)
    ]
    assert statuses == [401] * 30 + [429] * 5


def test_racing_guesses_are_counted_before_the_check(people, checks, db):
    together = threading.Barrier(10)

    def one(number):
        together.wait()
        status = guess(people, number).status_code
        connection.close()
        return status

    with ThreadPoolExecutor(10) as pool:
        statuses = list(pool.map(one, range(20)))
    assert statuses.count(401) == 10
    assert len(checks) == 10


def test_a_success_does_not_give_others_their_tries_back(people, settings, db):
    settings.COGLEX_TRUSTED_PROXIES = ["127.0.0.1"]
    APIClient().send("POST", f"{BASE}/signup/{people}", {"_key": "ada", "_password": PASSWORD})
    for number in range(30):
        guess(people, number, f"user{number}", X_Forwarded_For="198.51.100.1")
    answer = APIClient().send(
        "POST",
        f"{BASE}/signin/{people}",
        {"_key": "ada", "_password": PASSWORD},
        X_Forwarded_For="198.51.100.2",
    )
    assert answer.status_code == 200
    assert_problem(guess(people, 1, "x", X_Forwarded_For="198.51.100.1"), 429, "rate_limited")


def test_collections_have_counters_of_their_own(people, db):
    for number in range(10):
        guess(people, number)
    assert_problem(guess(people, 11), 429, "rate_limited")
    assert guess(f"{people}.b", 1).status_code == 401


def test_a_batch_signs_nobody_in(people, checks, api, db):
    operation = {"op": "insert", "collection": people, "document": {"_password": "x"}}
    operation["path"] = f"{BASE}/signin/{people}"
    body = {"operations": [operation]}
    assert api.send("POST", "/service/storage/v1/", body).status_code == 400
    assert checks == []
