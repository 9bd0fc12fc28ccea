"""What is shipped agrees with the documentation, with itself, and with the linters there are."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from core import supervisor
from tests.deployment.shipped import (
    COMPOSE,
    DEPLOY,
    DOCKERFILE,
    OURS,
    UNIT,
    documented_settings,
    needs,
)
from tests.processes import ROOT


def test_every_setting_that_is_shipped_is_documented():
    used = {name for service in OURS for name in COMPOSE["services"][service]["environment"]}
    used |= set(re.findall(r"# ([A-Z_]+): /run/secrets", (ROOT / "compose.yaml").read_text()))
    used |= set(re.findall(r"([A-Z_]+)=(?:%|/)", UNIT))
    used |= set(re.findall(r"^#?([A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    used |= set(re.findall(r"^    ((?:COGLEX|HOST|PORT)\w*)=", DOCKERFILE, re.MULTILINE))
    named = {name.removesuffix("_FILE") for name in used}
    assert len(named) > 15
    assert named - documented_settings() == {"DOMAIN"}, "DOMAIN is compose's own"


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_each_container_can_do_little(name):
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "/tmp" in service["tmpfs"]
    assert service["restart"] == (
        "no" if name in {"migrate", "mongodb-setup"} else "unless-stopped"
    )
    assert "healthcheck" in service or name == "coglex", "the server's is in its image"
    assert "privileged" not in service
    assert ("ports" in service) == (name == "nginx")
    for secret in service.get("secrets", []):
        assert secret in COMPOSE["secrets"]
    given = service.get("environment", {}).values()
    used = {value.removeprefix("/run/secrets/") for value in given if "/run/secrets" in value}
    assert used <= set(service.get("secrets", []))


def test_containers_are_given_longer_to_stop_than_the_server_needs():
    grace = int(COMPOSE["services"]["coglex"]["stop_grace_period"].removesuffix("s"))
    assert grace > supervisor.STOP_SECONDS
    assert int(re.search(r"TimeoutStopSec=(\d+)", UNIT)[1]) > supervisor.STOP_SECONDS + 30


def test_the_proxy_is_trusted_and_nobody_else():
    services = COMPOSE["services"]
    address = services["nginx"]["networks"]["front"]["ipv4_address"]
    assert services["coglex"]["environment"]["COGLEX_TRUSTED_PROXIES"] == address
    upstream = services["coglex"]["networks"]["front"]["ipv4_address"]
    assert f"server {upstream}:8000;" in (DEPLOY / "nginx.conf").read_text()


@needs("hadolint")
def test_the_dockerfile_lints_clean():
    ran = subprocess.run(["hadolint", ROOT / "Dockerfile"], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "")


@needs("systemd-analyze")
def test_systemd_understands_the_unit_and_finds_it_safe(tmp_path):
    unit = tmp_path / "coglex.service"
    unit.write_text(UNIT.replace("/opt/coglex/.venv", sys.prefix).replace("/opt/coglex", str(ROOT)))
    ran = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", unit],
        capture_output=True,
        text=True,
    )
    assert judged.returncode == 0, judged.stdout[-200:]


def test_the_page_makes_each_secret_that_compose_names(secrets):
    named = {Path(each["file"]).name for each in COMPOSE["secrets"].values()}
    assert {path.name for path in secrets.iterdir()} == named
    assert secrets.stat().st_mode & 0o777 == 0o700
    # Containers run as other users than the one who made them.
    assert {path.stat().st_mode & 0o777 for path in secrets.iterdir()} == {0o644}
    made = {path.name: path.read_text().strip() for path in secrets.iterdir()}
    assert len(set(made.values())) == len(made)
    assert made["postgres_password"] in made["database_url"]
    assert made["redis_url"].split("@")[0].removeprefix("redis://:") in made["redis_conf"]
