"""What a run has for itself: a database, queues, a data directory; all gone at its end."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

DEFAULT_DATABASE_URL = "postgresql://postgres@127.0.0.1:5432/postgres"
DEFAULT_BROKER_URL = "amqp://guest:guest@127.0.0.1:5672//"


@contextmanager
def of_its_own() -> Iterator[Path]:
    """Make a database on the server of DATABASE_URL and a directory; name them to all processes.

    To be entered before Django is set up.
    """
    run = f"tidemill_bench_{os.getpid()}"
    server = urlsplit(os.environ.get("DATABASE_URL") or DEFAULT_DATABASE_URL)
    with (
        psycopg.connect(urlunsplit(server), autocommit=True) as connection,
        tempfile.TemporaryDirectory(prefix="tidemill-bench-") as directory,
    ):
        connection.execute(f'CREATE DATABASE "{run}"')
        ticks = Path(directory) / "ticks"
        ticks.touch()
        os.environ |= {
            "BENCH_RUN": run,
            "BENCH_TICKS": str(ticks),
            "BROKER_URL": os.environ.get("BROKER_URL") or DEFAULT_BROKER_URL,
            "DATABASE_URL": urlunsplit(server._replace(path=f"/{run}")),
            "DJANGO_SETTINGS_MODULE": "tests.benchmarks.settings",
            "LOG_LEVEL": "WARNING",
            "TIDEMILL_DATA": f"{directory}/data",
        }
        try:
            yield Path(directory)
        finally:
            connection.execute(f'DROP DATABASE "{run}" WITH (FORCE)')
