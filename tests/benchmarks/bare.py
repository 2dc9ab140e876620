"""The limit: Celery with nothing around it. Its worker is started like Tidemill's.

Each task ends by writing a line to a file, so that the sender knows when all have ended and when
each began, without a result backend.
"""

from __future__ import annotations

import os
import subprocess
import time
from functools import cache

import psycopg
from celery import Celery

QUEUE = f"{os.environ['BENCH_RUN']}.bare"
TABLE = "bare_run"

# Not the current app: the sender's process has Tidemill's as well.
app = Celery("bare", broker=os.environ["BROKER_URL"], set_as_current=False)
app.conf.update(
    task_ignore_result=True, task_default_queue=QUEUE, broker_connection_retry_on_startup=True
)


@cache
def _connection(pid: int) -> psycopg.Connection:
    return psycopg.connect(os.environ["DATABASE_URL"])


@cache
def _ticks(pid: int) -> int:
    return os.open(os.environ["BENCH_TICKS"], os.O_WRONLY | os.O_APPEND)


def _tick(began: float) -> None:
    os.write(_ticks(os.getpid()), f"{began:.6f}\n".encode())


@app.task
def two_commits(number: int) -> None:
    """What running a shell task costs at least: a commit, the process, a commit."""
    began = time.time()
    connection = _connection(os.getpid())
    connection.execute(f"INSERT INTO {TABLE} VALUES (%s, now(), NULL)", [number])
    connection.commit()
    subprocess.run(["/bin/sh", "-c", "true"], check=True)
    connection.execute(f"UPDATE {TABLE} SET ended_at = now() WHERE number = %s", [number])
    connection.commit()
    _tick(began)


@app.task
def nothing(number: int) -> None:
    """A message, and nothing done about it."""
    _tick(time.time())
