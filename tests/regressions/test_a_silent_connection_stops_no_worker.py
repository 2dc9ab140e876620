"""A connection that says nothing and is not closed is given up, on our side and on the server's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.apps import apps
from django.conf import LazySettings
from django.core.management import call_command
from django.db import OperationalError, connection, connections, transaction
from django.db.models.signals import pre_migrate

from config.postgres_backend.base import DatabaseWrapper
from instances.engine.completion import Result
from instances.engine.sweep import sweep
from instances.ground.prepared import prepared_cursor
from instances.models import Instance
from instances.states import State
from instances.worker.crew import Crew
from instances.worker.life import Life
from projects.ground import clock
from projects.ground.database import (
    DatabaseSilent,
    PatientConnection,
    patience,
    session_settings,
)
from tests.factories import make_submitted_task
from tests.support.engine import Engine, new_instance, states_of
from tests.support.proxied import Proxied
from tests.support.proxy import Mood
from tests.support.waiting import wait_for

QUEUE = "tidemill.group.default"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for a connection of the pool gives up sooner than in production."""
    monkeypatch.setattr("config.settings.database.DATABASE_POOL_SECONDS", 3)


class ProxiedCrew(Crew):
    """A crew that reaches the database through a proxy."""

    proxied: Proxied

    def _serve(self) -> None:
        self.proxied.take_this_thread()
        super()._serve()


@pytest.fixture
def crew(
    live_engine: Engine,
    proxied: Proxied,
    settings: LazySettings,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Crew]:
    """A crew that looks for work all the time, and whose executions take none."""
    settings.WORKER_ANSWER_SECONDS = 0.5
    settings.IDLE_LOOK_SECONDS = 0.05
    # A session that falls silent holds what it has locked until the server ends it.
    settings.DATABASE_IDLE_SECONDS = 2
    monkeypatch.setattr("instances.worker.crew.LOOK_SECONDS", 0.05)
    monkeypatch.setattr("instances.worker.crew.AGAIN_SECONDS", 0.05)
    monkeypatch.setattr(
        "instances.worker.crew.run", lambda attempt, life: Result(attempt.execution_id)
    )
    crew = ProxiedCrew(Life("worker"), room=2)
    crew.proxied = proxied
    crew.serve([QUEUE])
    first, *_ = live_engine.make(new_instance(make_submitted_task()))
    wait_for(lambda: states_of([first]) == [State.SUCCESS])
    yield crew
    proxied.proxy.set(Mood.OPEN)
    assert crew.drain(60)


def test_a_crew_claims_again_though_its_old_connection_stays_silent(
    live_engine: Engine, proxied: Proxied, crew: Crew
) -> None:
    proxied.proxy.forget_all()
    (instance,) = live_engine.make(new_instance(make_submitted_task()))

    def has_run() -> bool:
        sweep(now=clock.now())  # the group may have been held when the instance was made
        return states_of([instance]) == [State.SUCCESS]

    wait_for(has_run)


def test_a_crew_ends_when_it_is_asked_to_while_the_database_is_silent(
    live_engine: Engine, proxied: Proxied, crew: Crew
) -> None:
    proxied.proxy.set(Mood.SILENT)
    # Without a bound it never ends; however slow the machine is, with one it has by then.
    assert crew.drain(120)


def test_one_silent_connection_of_the_pool_takes_the_others_with_it(
    proxied: Proxied, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_up: set[int] = set()
    wait = PatientConnection.wait

    def wait_and_tell(self: PatientConnection, *given: Any, **named: Any) -> Any:
        try:
            return wait(self, *given, **named)
        except DatabaseSilent:
            given_up.add(id(self))
            raise

    monkeypatch.setattr(PatientConnection, "wait", wait_and_tell)
    with proxied.here():
        held: list[DatabaseWrapper] = []
        for _ in range(3):
            wrapper = proxied.wrapper()
            wrapper.ensure_connection()
            held.append(wrapper)
        # Kept, so that none of the new ones gets the id of an old one.
        dead = [wrapper.connection for wrapper in held]
        for wrapper in held:
            wrapper.close()
        proxied.proxy.forget_all()
        with patience(2), connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        assert len(given_up & {id(one) for one in dead}) == 1


def test_the_server_ends_what_waits_for_ever(live_engine: Engine, settings: LazySettings) -> None:
    live_engine.make(new_instance(make_submitted_task()))

    def holder() -> Any:
        """Somebody who has locked the row and says no more."""
        other = connections.create_connection("default")
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute("SELECT FROM instances_instance FOR UPDATE")
        return other

    def bound(**seconds: float) -> None:
        settings.DATABASE_LOCK_SECONDS = seconds.get("lock", 60)
        settings.DATABASE_STATEMENT_SECONDS = seconds.get("statement", 60)
        settings.DATABASE_IDLE_SECONDS = seconds.get("idle", 60)
        connection.close()

    with ExitStack() as ends:
        ends.callback(connection.close)
        bound(statement=0.2)
        with pytest.raises(OperationalError, match="statement timeout"):
            connection.cursor().execute("SELECT pg_sleep(60)")
        bound(lock=0.2)
        patient = holder()
        ends.callback(patient.close)
        with pytest.raises(OperationalError, match="lock timeout"), transaction.atomic():
            list(Instance.objects.select_for_update())
        patient.rollback()
        # Its owner is silent: the row is free again soon.
        bound(idle=0.5)
        ends.callback(holder().close)
        with transaction.atomic():
            assert len(Instance.objects.select_for_update()) == 1


def test_a_session_keeps_its_settings_whatever_becomes_of_a_transaction(
    live_engine: Engine,
) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic(), prepared_cursor() as cursor:
        cursor.execute("SELECT 1")
        raise ZeroDivisionError
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('plan_cache_mode'), current_setting('jit')")
        assert cursor.fetchone() == ("force_generic_plan", "off")


def test_the_whole_transaction_is_bounded_where_the_server_can(settings: LazySettings) -> None:
    assert "transaction_timeout" in session_settings(170_000)
    assert "transaction_timeout" not in session_settings(160_009)
    settings.DATABASE_POOLER = True
    assert session_settings(170_000) == {}


def test_migrations_take_their_time(live_engine: Engine) -> None:
    found: list[set[str]] = []

    def bounds(**_: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT setting FROM pg_settings WHERE name IN"
                " ('lock_timeout', 'statement_timeout', 'idle_in_transaction_session_timeout')"
            )
            found.append({setting for (setting,) in cursor.fetchall()})

    bounds()
    # Told after the bounds were lifted, as all migrations come after this.
    pre_migrate.connect(bounds, sender=apps.get_app_config("config"))
    try:
        call_command("migrate", verbosity=0)
    finally:
        pre_migrate.disconnect(bounds, sender=apps.get_app_config("config"))
    bounds()
    before, during, after = found
    assert "0" not in before
    assert during == {"0"}
    assert after == before
