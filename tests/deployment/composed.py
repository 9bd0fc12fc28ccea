"""MongoDB and Redis as compose.yaml starts them, on this machine."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager

from pymongo import MongoClient
from redis import Redis
from redis.exceptions import RedisError

from core.data.embedded.server import find_mongod
from tests.deployment.shipped import COMPOSE, DEPLOY
from tests.processes import eventually, free_port


@contextmanager
def mongod(directory, port, *options):
    """MongoDB on a port of this machine; waits until it answers."""
    directory.mkdir(exist_ok=True)
    command = [find_mongod(), "--dbpath", directory, "--port", str(port), "--bind_ip", "127.0.0.1"]
    with (directory.parent / "mongod.out").open("wb") as out:
        process = subprocess.Popen(
            [*command, "--nounixsocket", "--wiredTigerCacheSizeGB", "0.25", *options],
            stdout=out,
            stderr=out,
        )
    try:
        with MongoClient(f"mongodb://127.0.0.1:{port}/?directConnection=true") as client:
            client.admin.command("hello")
            yield client
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def composed_mongodb(secrets):
    """MongoDB as its image and mongodb-setup leave it; yields its MONGODB_URI."""
    password = (secrets / "mongodb_root_password").read_text().strip()
    directory, port = secrets.parent / "db", free_port()
    with mongod(directory, port) as client:
        client.admin.command("createUser", "root", pwd=password, roles=["root"])
    keyfile = secrets.parent / "keyfile"
    keyfile.write_bytes((secrets / "mongodb_keyfile").read_bytes())
    keyfile.chmod(0o400)
    uri = (secrets / "mongodb_uri").read_text().replace("mongodb:27017", f"127.0.0.1:{port}")
    (secrets / "mongodb_uri").write_text(uri)
    with mongod(directory, port, "--replSet", "rs0", "--keyFile", keyfile, "--oplogSize", "50"):
        yield uri.strip()


def set_up_mongodb(secrets):
    given = COMPOSE["services"]["mongodb-setup"]["environment"]
    env = {name: value.replace("/run/secrets", str(secrets)) for name, value in given.items()}
    return subprocess.run(
        [sys.executable, DEPLOY / "mongodb_setup.py"], env=env, capture_output=True, text=True
    )


@contextmanager
def composed_redis(secrets):
    """Redis with the options and the file that compose.yaml gives it; yields its REDIS_URL."""
    program, conf = COMPOSE["services"]["redis"]["command"]
    port = free_port()
    conf = conf.replace("/run/secrets", str(secrets))
    process = subprocess.Popen(
        [program, conf, "--port", str(port), "--bind", "127.0.0.1"], stdout=subprocess.DEVNULL
    )
    url = (secrets / "redis_url").read_text().strip().replace("redis:6379", f"127.0.0.1:{port}")
    try:
        with Redis.from_url(url) as client:
            eventually(lambda: pings(client))
        yield url
    finally:
        process.terminate()
        process.wait(20)


def pings(client):
    try:
        return client.ping()
    except RedisError:
        return False
