"""What Prometheus is told, and who may ask."""

from __future__ import annotations

import os
import re
import signal

import pytest

from core import metrics
from tests.conftest import APIClient, assert_problem
from tests.processes import Served, eventually

NAME = "coglex_http_request_duration_seconds"


def counts(text):
    """How many requests there were, by method, route and status."""
    found = re.findall(rf"^{NAME}_count{{(.*)}} ([\d.]+)$", text, re.MULTILINE)
    return {tuple(re.findall(r'"([^"]*)"', labels)): float(count) for labels, count in found}


@pytest.mark.django_db
def test_metrics_are_for_keys_with_their_scope(api, api_with):
    assert api.get("/metrics").status_code == 200
    assert api_with("metrics:read").get("/metrics/").status_code == 200
    assert_problem(api_with("storage:*").get("/metrics"), 403, "insufficient_scope")
    assert_problem(APIClient(key="").get("/metrics"), 401, "missing_api_key")
    assert_problem(api.send("POST", "/metrics"), 405, "method_not_allowed")


def test_a_process_that_serves_nothing_counts_nothing(api, tmp_path, settings):
    settings.DATA_DIR = tmp_path
    api.get("/healthz")
    assert counts(api.get("/metrics").content.decode()) == {}


@pytest.mark.slow
def test_all_workers_are_counted_by_route_template(tmp_path):
    served = Served(tmp_path / "var", WEB_WORKERS="2")
    try:
        served.http.headers["Connection"] = "close"
        written = 0

        def both_wrote():
            nonlocal written
            url = f"{served.storage}/secret-name/k{written}"
            assert served.http.put(url, json={}).status_code == 201
            written += 1
            files = (served.data_dir / "metrics").glob("*.json")
            return sum(b'"update"' in file.read_bytes() for file in files) == 2

        # Which worker takes a connection is the system's choice.
        eventually(both_wrote)
        served.http.get(f"{served.url}/service/nothing")
        served.http.request("BREW", f"{served.url}/healthz")
        template = "service/storage/v1/<str:collection>/<str:key>/"

        def complete():
            # Workers write their figures down every second.
            answer = served.http.get(f"{served.url}/metrics")
            seen = counts(answer.text)
            all_ = (
                seen.get(("PUT", template, "201")) == written
                and ("GET", "^service/", "404") in seen
                and "other" in {method for method, *_ in seen}
            )
            return answer if all_ else None

        answer = eventually(complete)
    finally:
        served.stop()
    assert answer.headers["Content-Type"] == metrics.CONTENT_TYPE
    seen = counts(answer.text)
    assert seen["GET", "^service/", "404"] == 1
    assert [key for key in seen if key[0] == "other"], seen
    assert "secret-name" not in answer.text
    count = "coglex_database_operation_duration_seconds_count"
    assert f'{count}{{operation="update",outcome="ok"}} {float(written)}' in answer.text
    open_, in_use = (
        float(re.search(rf'coglex_database_connections{{state="{state}"}} (\S+)', answer.text)[1])
        for state in ("open", "in_use")
    )
    assert open_ >= 2
    assert 0 <= in_use <= open_
    buckets = re.findall(rf'{NAME}_bucket{{le="\+Inf",.*route="{re.escape(template)}"', answer.text)
    assert buckets


@pytest.mark.slow
def test_gauges_are_those_of_the_workers_that_live(tmp_path):
    served = Served(tmp_path / "var", WEB_WORKERS="1")
    try:

        def open_connections():
            text = served.http.get(f"{served.url}/metrics").text
            return float(re.search(r'connections{state="open"} (\S+)', text)[1])

        served.http.get(f"{served.storage}/some/")
        before = open_connections()
        (worker,) = served.children()
        os.kill(worker, signal.SIGKILL)
        eventually(lambda: served.children() not in ([worker], []) and served.answers())
        served.http.get(f"{served.storage}/some/")
        assert open_connections() <= before
    finally:
        served.stop()


@pytest.mark.slow
def test_a_new_server_begins_anew(tmp_path):
    for _ in range(2):
        served = Served(tmp_path / "var", WEB_WORKERS="1")
        try:
            served.http.get(f"{served.url}/readyz")
            seen = counts(served.http.get(f"{served.url}/metrics").text)
        finally:
            served.stop()
        assert seen["GET", "readyz/", "200"] == 1
