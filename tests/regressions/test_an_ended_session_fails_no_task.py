"""A session that the server ended by a bound of ours is no word about what it was asked to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
import pytest
from django.conf import LazySettings
from django.db import InternalError, OperationalError, connection, connections, transaction

from instances.engine import completion
from instances.engine.completion import Result, complete
from instances.error_codes import ErrorCode
from instances.models import Execution
from instances.states import State
from instances.worker.crew import Crew
from instances.worker.life import Life
from projects.ground.database import is_away
from tests.factories import make_submitted_task
from tests.support.engine import Engine, new_instance, states_of
from tests.support.waiting import wait_for

QUEUE = "tidemill.group.default"


@pytest.fixture
def crew(monkeypatch: pytest.MonkeyPatch) -> Crew:
    """A crew whose executions take no time."""
    monkeypatch.setattr("instances.worker.crew.AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(
        "instances.worker.crew.run", lambda attempt, life: Result(attempt.execution_id)
    )
    return Crew(Life("worker"), room=5)


def test_a_success_stays_one_when_its_report_was_paused_for_too_long(
    live_engine: Engine, crew: Crew, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (instance,) = live_engine.make(new_instance(make_submitted_task(retries={"limit": 0})))
    ended: list[int] = []

    def is_there(session: int) -> bool:
        other: Any = connections.create_connection("default")
        try:
            with other.cursor() as cursor:
                cursor.execute("SELECT FROM pg_stat_activity WHERE pid = %s", [session])
                return cursor.fetchone() is not None
        finally:
            other.close()

    def pause(*given: Any) -> None:
        if not ended:
            session = connection.connection.info.backend_pid
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 1")
            wait_for(lambda: not is_there(session))
            ended.append(session)
        completion_insert(*given)

    completion_insert = completion.insert_chunks
    monkeypatch.setattr("instances.engine.completion.insert_chunks", pause)
    crew.serve([QUEUE])
    wait_for(lambda: states_of([instance]) in ([State.SUCCESS], [State.FAILED]))
    assert crew.drain(60)
    assert len(ended) == 1
    assert states_of([instance]) == [State.SUCCESS]


def test_what_always_takes_too_long_is_refused_in_the_end(
    live_engine: Engine, crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make_submitted_task(retries={"limit": 0})
    slow, other = live_engine.make(*[new_instance(task, day=day) for day in range(2)])

    def complete_slowly(results: Sequence[Result], **options: Any) -> list[int]:
        executions = Execution.objects.filter(
            pk__in=[one.execution_id for one in results if not one.error_code]
        )
        if executions.filter(instance=slow).exists():
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL statement_timeout = 1")
                cursor.execute("SELECT pg_sleep(60)")
        return complete(results, **options)

    monkeypatch.setattr("instances.worker.crew.complete", complete_slowly)
    crew.serve([QUEUE])
    wait_for(lambda: states_of([slow, other]) == [State.FAILED, State.SUCCESS])
    assert crew.drain(60)
    assert Execution.objects.get(instance=slow).error_code == ErrorCode.INTERNAL_ERROR


@pytest.mark.parametrize(
    ("error", "cause", "away"),
    [
        (InternalError(), psycopg.errors.IdleInTransactionSessionTimeout(), True),
        (InternalError(), psycopg.errors.TransactionTimeout(), True),
        (InternalError(), psycopg.errors.InFailedSqlTransaction(), False),
        (OperationalError(), psycopg.errors.AdminShutdown(), True),
        (OperationalError(), psycopg.OperationalError("the connection is closed"), True),
        (OperationalError(), psycopg.errors.QueryCanceled(), False),
    ],
)
def test_the_database_is_away(error: Exception, cause: Exception, away: bool) -> None:
    error.__cause__ = cause
    assert is_away(error) is away
