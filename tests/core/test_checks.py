"""Settings that no server should start with, and those that deserve a second look."""

from __future__ import annotations

import subprocess
import sys

import pytest
from django.core.checks import run_checks

from tests.processes import ROOT, environment, free_port

KEY = "Zk3vQ9pT5mW8xR2yB6nL4cJ7hD1gF0sAaSdFgH"


@pytest.fixture(autouse=True)
def good(settings):
    settings.SECRET_KEY = KEY
    settings.SERVER_SECRET = KEY[::-1]


def found():
    return [each.id for each in run_checks() if each.id.startswith("core.")]


def test_the_defaults_are_good():
    assert found() == []


@pytest.mark.parametrize(
    ("planted", "expected"),
    [
        ({"SECRET_KEY": "short"}, ["core.E001"]),
        ({"SECRET_KEY": "ab" * 30}, ["core.E001"]),
        ({"SECRET_KEY": "insecure-" + KEY}, ["core.E001"]),
        ({"SERVER_SECRET": "changeme-changeme"}, ["core.E002"]),
        ({"SERVER_SECRET": "1111111111111111111"}, ["core.E002"]),
        ({"SERVER_SECRET": KEY}, ["core.E003"]),
        ({"DEBUG": True, "HOST": "0.0.0.0"}, ["core.E005"]),
        ({"DEBUG": True, "HOST": "::1"}, []),
        ({"ALLOWED_HOSTS": ["api.example.com", "*"]}, ["core.E006"]),
        ({"HOST": "::"}, ["core.W001"]),
        ({"HOST": "::", "HTTPS": True, "COGLEX_PUBLIC_URL": "https://a.b"}, []),
        ({"HTTPS": True, "COGLEX_PUBLIC_URL": "http://a.b"}, ["core.W002"]),
        ({"COGLEX_TRUSTED_PROXIES": ["unix", "10.0.0.0/8", "::1"]}, []),
        ({"COGLEX_TRUSTED_PROXIES": ["0.0.0.0/0"]}, ["core.E007"]),
        ({"COGLEX_TRUSTED_PROXIES": ["::/0", "proxy"]}, ["core.E007", "core.E007"]),
        ({"CORS_ALLOWED_ORIGINS": ["https://a.example:8443"]}, []),
        ({"CORS_ALLOWED_ORIGINS": ["*", "null", "https://a/b"]}, ["core.E008"] * 3),
        ({"MONGODB_URI": "mongodb://u:p@db.example.com/?replicaSet=rs0"}, ["core.W003"]),
        ({"MONGODB_URI": "mongodb://u:p@127.0.0.1:27017,db2:27017/"}, ["core.W003"]),
        ({"MONGODB_URI": "mongodb://u:p@db.example.com/?tls=true"}, []),
        ({"MONGODB_URI": "mongodb+srv://u:p@db.example.com/"}, []),
        ({"MONGODB_URI": "mongodb://localhost:27017/"}, []),
        ({"MONGODB_URI": "mongodb://%2Ftmp%2Fm.sock"}, []),
        ({"MONGODB_URI": None}, []),
        ({"COGLEX_RATE_API_KEY": "many"}, ["core.E009"]),
        ({"COGLEX_RATE_SIGNIN_KEY": "0/m"}, ["core.E009"]),
        ({"COGLEX_RATE_SIGNUP_ADDRESS": "5/fortnight"}, ["core.E009"]),
        ({"COGLEX_RATE_API_KEY": "1000/h"}, []),
    ],
)
def test_each_fault_is_found(settings, planted, expected):
    for name, value in planted.items():
        setattr(settings, name, value)
    messages = [each for each in run_checks() if each.id.startswith("core.")]
    assert [each.id for each in messages] == expected
    assert all(each.hint for each in messages)


def test_a_secret_that_everybody_can_read_is_found(settings, tmp_path):
    path = tmp_path / "server_secret"
    path.write_text(KEY)
    settings.SECRET_FILES = [path]
    path.chmod(0o644)
    (message,) = run_checks()
    assert (message.id, message.hint) == ("core.E004", f"chmod 600 {path}")
    path.chmod(0o600)
    assert found() == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("DJANGO_ALLOWED_HOSTS", "*", "DJANGO_ALLOWED_HOSTS allows any"),
        ("SERVER_SECRET", "changeme-changeme", "SERVER_SECRET can be guessed"),
        ("COGLEX_RATE_API_KEY", "lots", "COGLEX_RATE_API_KEY is no rate"),
    ],
)
def test_a_server_does_not_start_on_them(tmp_path, name, value, words):
    ran = subprocess.run(
        [sys.executable, "manage.py", "serve", "--setup"],
        cwd=ROOT,
        env=environment(tmp_path, DJANGO_SECRET_KEY=KEY, PORT=str(free_port()), **{name: value}),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 1
    assert words in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "mongodb").exists()


SECRETS = {
    "DJANGO_SECRET_KEY": (KEY, "s.SECRET_KEY"),
    "SERVER_SECRET": ("$ecret" + KEY[::-1], "s.SERVER_SECRET"),
    "STRIPE_SECRET_KEY": ("sk_test_from_a_file", "s.STRIPE_SECRET_KEY"),
    "STRIPE_WEBHOOK_SECRET": ("whsec_one,whsec_two", "','.join(s.STRIPE_WEBHOOK_SECRETS)"),
    "MONGODB_URI": ("mongodb://u:p@db.example.com/?tls=true", "s.MONGODB_URI"),
    "DATABASE_URL": ("postgres://u:p%40w@db/files", "s.DATABASES['default']['PASSWORD']"),
    "REDIS_URL": ("redis://:p@cache.example.com:6379/1", "s.CACHES['default']['LOCATION']"),
}


def ask_settings(*asked, **env):
    code = "; ".join(["from django.conf import settings as s", "s.DEBUG", *asked])
    return subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", code],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.slow
def test_each_secret_is_read_from_the_file_that_is_named(tmp_path):
    env = environment(tmp_path / "var", **dict.fromkeys(SECRETS, "from the environment"))
    for name, (value, _) in SECRETS.items():
        (tmp_path / name).write_text(f"{value}\n")
        env[f"{name}_FILE"] = str(tmp_path / name)
    ran = ask_settings(*(f"print({shown})" for _, shown in SECRETS.values()), **env)
    expected = {name: value for name, (value, _) in SECRETS.items()} | {"DATABASE_URL": "p@w"}
    assert ran.stdout.splitlines() == list(expected.values()), ran.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "cannot be read (No such file or directory)"),
        (b"\n", "is empty"),
        (b"\xff\xfe", "is no text"),
    ],
)
@pytest.mark.parametrize("name", ["SERVER_SECRET", "MONGODB_URI"])
def test_a_file_that_gives_no_secret_is_one_sentence(tmp_path, name, content, fault):
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    env = environment(tmp_path / "var", **{f"{name}_FILE": f"{tmp_path}/secret"})
    ran = ask_settings(**env)
    assert ran.returncode == 1
    assert ran.stderr == f"coglex: {name}_FILE names {tmp_path}/secret, which {fault}.\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("MONGODB_URI", "db:hush", "MONGODB_URI must begin with mongodb:// or mongodb+srv://."),
        ("REDIS_URL", "hush", "REDIS_URL must be a URL such as redis://"),
        ("DATABASE_URL", "hush", "DATABASE_URL must be a URL such as postgres://"),
        ("DATABASE_URL", "postgras://u:hush@h/x", "DATABASE_URL must be a URL such as postgres://"),
        (
            "DATABASE_URL",
            "postgres://u:p@h:hush/x",
            "DATABASE_URL must be a URL such as postgres://",
        ),
    ],
)
def test_an_address_of_no_database_is_one_sentence_that_does_not_repeat_it(
    tmp_path, name, value, sentence
):
    ran = ask_settings(**environment(tmp_path / "var", **{name: value}))
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"coglex: {sentence}")
    assert ran.stderr.count("\n") == 1
    assert "hush" not in ran.stderr
