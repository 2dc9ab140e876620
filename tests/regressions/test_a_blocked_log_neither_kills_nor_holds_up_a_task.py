"""A log that cannot be stored for a while costs a task neither its life nor its time limit.

About three seconds each: a lease has to be outlived.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.conf import LazySettings
from django.db import connection

from instances.models import Execution
from instances.states import State
from instances.worker.crew import Crew
from instances.worker.life import Life
from projects.ground import clock
from tests.distributed.workers import database_url
from tests.factories import make_submitted_task
from tests.instances.conftest import live_engine, sent  # noqa: F401
from tests.instances.worker.test_crew import QUEUE
from tests.instances.worker.test_execution import (
    log_of,
    marked_processes,
    no_spawner_left,  # noqa: F401
    work_directory,  # noqa: F401
)
from tests.support.engine import Engine, new_instance, state_of
from tests.support.waiting import wait_for


class LogLock:
    """Whoever writes to a log waits, as behind a lock or for a database that does not answer."""

    def __init__(self) -> None:
        self._session = psycopg.connect(database_url())
        self._session.execute("LOCK TABLE instances_logchunk IN EXCLUSIVE MODE")

    def waited_for(self) -> bool:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted"
                " AND relation = 'instances_logchunk'::regclass)"
            )
            return bool(cursor.fetchone()[0])

    def end(self) -> None:
        self._session.close()


@pytest.fixture
def log_lock(live_engine: Engine) -> Iterator[LogLock]:  # noqa: F811
    lock = LogLock()
    yield lock
    lock.end()


@pytest.fixture
def crew(
    live_engine: Engine,  # noqa: F811
    settings: LazySettings,
) -> Iterator[Crew]:
    settings.EXECUTION_LEASE_SECONDS = 3
    # Who waits for the log waits for as long as the test wants.
    settings.DATABASE_LOCK_SECONDS = settings.WORKER_ANSWER_SECONDS = 300
    settings.DATABASE_STATEMENT_SECONDS = 300
    with Life("host:1:a-life-of-its-own") as life:
        crew = Crew(life, room=2)
        yield crew
        life.pulse.shutting_down.set()
        assert crew.drain(timeout=60)


def test_a_healthy_task_outlives_its_lease_and_is_read_on(
    live_engine: Engine,  # noqa: F811
    crew: Crew,
    log_lock: LogLock,
    tmp_path: Path,
) -> None:
    # Far more than a pipe holds: the task gets to its mark only when somebody reads.
    code = (
        f"echo one; sleep 0.7; head -c 1000000 /dev/zero | tr '\\0' x; touch {tmp_path}/read\n"
        f"until [ -e {tmp_path}/go ]; do sleep 0.05; done; echo last"
    )
    (instance,) = live_engine.make(new_instance(make_submitted_task(code=code)))
    crew.serve([QUEUE])
    wait_for(log_lock.waited_for)
    wait_for((tmp_path / "read").exists)
    execution = Execution.objects.get(instance=instance)
    assert execution.started_at is not None
    lease = execution.lease_until
    assert lease is not None
    while clock.now() < lease:  # the thread that stores logs waits all the time
        assert log_lock.waited_for()
        threading.Event().wait(0.1)
    assert state_of(instance) == State.RUNNING
    (tmp_path / "go").touch()
    wait_for(lambda: not marked_processes(execution.pk))
    log_lock.end()
    wait_for(lambda: state_of(instance) == State.SUCCESS)
    log = log_of(Execution.objects.get(instance=instance))
    assert log == "one\n" + 1_000_000 * "x" + "last\n"


def test_a_time_limit_is_kept(
    live_engine: Engine,  # noqa: F811
    crew: Crew,
    log_lock: LogLock,
) -> None:
    task = make_submitted_task(
        code="while :; do echo on and on; sleep 0.05; done", timeout=1, retries={"limit": 0}
    )
    (instance,) = live_engine.make(new_instance(task))
    execution = Execution.objects.get(instance=instance)
    crew.serve([QUEUE])
    wait_for(log_lock.waited_for)
    wait_for(lambda: not marked_processes(execution.pk))
    assert log_lock.waited_for()
    log_lock.end()
    wait_for(lambda: state_of(instance) == State.FAILED)
    execution.refresh_from_db()
    assert execution.error_code == "TIMEOUT"
    assert "on and on\n[tidemill] Stopped after 1 s, its time limit.\n" in log_of(execution)
