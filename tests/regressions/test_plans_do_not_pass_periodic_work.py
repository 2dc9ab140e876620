"""At equal priority periodic instances go before plans', and plans take turns (B11, B14)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from backfill.models import Plan
from instances.engine.dispatch import dispatch
from instances.models import Execution, Instance
from projects.ground import clock
from projects.models import ResourceGroup
from tests.factories import make_resource_group, make_submitted_task
from tests.factories.plans import make_expanded_plan, make_spec
from tests.support.engine import Engine, new_instance
from workflows.models import Task


def started(engine: Engine, group: ResourceGroup, number: int) -> list[Instance]:
    """Give slots one at a time; return the instances in the order in which they got one."""
    for slots in range(1, number + 1):
        ResourceGroup.objects.filter(pk=group.pk).update(slots=slots)
        with engine.committing():
            assert dispatch([group.pk], now=clock.now()) == 1
    rows = Execution.objects.select_related("instance").order_by("pk")
    return [row.instance for row in rows]


def expanded(engine: Engine, task: Task, *dates: str, **fields: object) -> Plan:
    with engine.committing():
        return make_expanded_plan(make_spec([task], *dates, **fields))


def days_of(instances: Sequence[Instance], plan: Plan) -> list[int]:
    return [one.scheduled_at.day for one in instances if one.batch_id == plan.batch_id]


@pytest.mark.feature("B14")
@pytest.mark.parametrize("order", ["ascending", "descending"])
@pytest.mark.item("2.14")
def test_a_plan_of_long_past_dates_waits_behind_periodic_work(engine: Engine, order: str) -> None:
    group = make_resource_group("one", slots=0)
    task = make_submitted_task(resource_group="one")
    expanded(engine, task, "2015-01-01", "2015-01-03", order=order)
    (periodic,) = engine.make(new_instance(task))
    assert started(engine, group, 4)[0] == periodic


@pytest.mark.feature("B11", "B14")
def test_plans_take_turns_whatever_their_dates(engine: Engine) -> None:
    group = make_resource_group("one", slots=0)
    task = make_submitted_task(resource_group="one")
    older = expanded(engine, task, "2015-01-01", "2015-01-03")
    newer = expanded(engine, task, "2024-01-01", "2024-01-03", order="descending")
    found = started(engine, group, 6)
    assert [one.batch_id for one in found] == [older.batch_id, newer.batch_id] * 3
    # Each of them in its own order.
    assert days_of(found, older) == [2, 3, 4]
    assert days_of(found, newer) == [4, 3, 2]


@pytest.mark.feature("B10", "B11")
def test_lanes_get_slots_in_the_order_of_their_dates(engine: Engine) -> None:
    group = make_resource_group("one", slots=0)
    task = make_submitted_task(resource_group="one")
    plan = expanded(
        engine, task, "2024-01-01", "2024-01-06", run_mode="day_by_day", groups=2, order="ascending"
    )
    # Two days are open, the first of each lane.
    assert days_of(started(engine, group, 2), plan) == [2, 5]
