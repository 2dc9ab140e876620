"""Rescue closes as many lost executions as there are, not a number a tick."""

from __future__ import annotations

import pytest
from django.conf import LazySettings

from instances.engine.rescue import rescue
from instances.models import Execution
from instances.states import ExecutionState
from projects.ground import clock
from tests.factories import make_resource_group, make_submitted_task
from tests.support.engine import LEASE, Engine, new_instance


def lose(engine: Engine, number: int) -> None:
    make_resource_group("many", slots=number)
    task = make_submitted_task(resource_group="many")
    engine.start_all(engine.make(*[new_instance(task, day=day) for day in range(number)]))


@pytest.fixture(autouse=True)
def two_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("instances.engine.rescue.BATCH_SIZE", 2)


def test_one_tick_closes_all_and_announces_all(engine: Engine) -> None:
    lose(engine, 5)
    with engine.committing():
        assert rescue(now=clock.now() + 2 * LEASE) == (5, 0)
    assert Execution.objects.filter(state=ExecutionState.LOST).count() == 5
    engine.sent.clear()
    with engine.committing():
        assert rescue(now=clock.now() + 20 * LEASE) == (0, 5)
    assert len(engine.sent) == 5


def test_a_tick_ends_when_its_time_is_over_and_the_next_one_goes_on(
    engine: Engine, settings: LazySettings
) -> None:
    lose(engine, 5)
    settings.RESCUE_SECONDS = -1.0
    now = clock.now() + 2 * LEASE
    for closed in (2, 2, 1, 0):
        with engine.committing():
            assert rescue(now=now) == (closed, 0)
