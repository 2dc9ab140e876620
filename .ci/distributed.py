"""The demo's plan on PostgreSQL and a message broker, with two worker processes and beat.

Usage: python .ci/distributed.py BROKER_URL. The database is made for the run and dropped after it.
Exit code 0 when every instance succeeded. A service that is missing fails the run when CI=true and
skips it otherwise.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

ROOT = Path(__file__).resolve().parent.parent
POSTGRES = os.environ.get("CI_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
DEMO_SECONDS = 240
STOP_SECONDS = 20


def main(broker: str) -> int:
    missing = [url for url in (POSTGRES, broker) if not answers(url)]
    if missing:
        places = ", ".join(place(url) for url in missing)
        print(f"distributed demo: nothing answers at {places}", file=sys.stderr)
        return 1 if os.environ.get("CI") == "true" else 0
    began = time.monotonic()
    with database() as database_url, tempfile.TemporaryDirectory() as data:
        environment = os.environ | {
            "BROKER_URL": broker,
            "DATABASE_URL": database_url,
            "TIDEMILL_DATA": data,
            "DJANGO_SETTINGS_MODULE": "config.settings.development",
        }
        run(["manage.py", "migrate", "--verbosity", "0"], environment)
        queues = ["--queues", "tidemill.system,tidemill.group.default"]
        workers = [
            ["worker", "--hostname", f"ci{n}@%h", "--concurrency", "4", *queues] for n in (1, 2)
        ]
        with processes([*workers, ["beat"]], environment):
            run(["manage.py", "demo", "--exit", "--no-up"], environment)
    print(f"distributed demo on {urlsplit(broker).scheme}: ok, {time.monotonic() - began:.0f} s")
    return 0


@contextmanager
def database() -> Iterator[str]:
    """A database of this run's own."""
    name = f"tidemill_ci_{secrets.token_hex(4)}"
    with psycopg.connect(POSTGRES, autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield urlsplit(POSTGRES)._replace(path=f"/{name}").geturl()
        finally:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def processes(commands: list[list[str]], environment: dict[str, str]) -> Iterator[None]:
    """Celery processes for the length of the block; one that dies before its end is an error."""
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "celery", "--quiet", "--app", "config", *command],
            cwd=ROOT,
            env=environment,
        )
        for command in commands
    ]
    try:
        yield
        dead = [process.args for process in started if process.poll() is not None]
        if dead:
            raise RuntimeError(f"ended too early: {dead}")
    finally:
        for process in started:
            process.send_signal(signal.SIGTERM)
        for process in started:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def run(arguments: list[str], environment: dict[str, str]) -> None:
    command = [sys.executable, *arguments]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=DEMO_SECONDS)


def place(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}"


def answers(url: str) -> bool:
    """Whether something listens at the address of the URL."""
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 0), timeout=3).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
