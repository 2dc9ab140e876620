"""Creation: in which state instances are made, before anybody has looked at them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction

from instances.engine.creation import NewInstance, create_instances, waiting_for_each_other
from instances.models import Batch, Instance
from instances.states import State
from projects.ground import clock
from tests.factories import make_submitted_tasks
from tests.support.engine import make_batch, new_instance
from workflows.models import Task

pytestmark = pytest.mark.django_db


@pytest.fixture
def tasks() -> dict[str, Task]:
    return make_submitted_tasks({"a": {}, "b": {"depends_on": ["a"]}})


def create(*rows: NewInstance, batch: Batch | None = None) -> list[Instance]:
    with transaction.atomic():
        ids = create_instances(rows, now=clock.now(), batch_id=batch.pk if batch else None)
    found = Instance.objects.in_bulk(ids)
    return [found[pk] for pk in ids]


@pytest.mark.parametrize("in_plan", [True, False])
def test_who_waits_for_another_made_with_it_is_made_waiting(
    tasks: dict[str, Task], in_plan: bool
) -> None:
    batch = make_batch(tasks["a"]) if in_plan else None
    down = new_instance(tasks["b"], waits_for=[(tasks["a"], 0)], batch=batch)
    up = new_instance(tasks["a"], batch=batch)
    assert waiting_for_each_other([down, up], batch_id=batch.pk if batch else None) == [True, False]
    made_down, made_up = create(down, up, batch=batch)
    assert made_down.state == State.WAITING_UPSTREAM
    assert made_up.state == State.NOT_RUN
    assert made_down.edges.get().upstream == made_up


def test_who_is_not_due_waits_for_its_clock_first(tasks: dict[str, Task]) -> None:
    later = clock.now() + timedelta(hours=1)
    down = new_instance(tasks["b"], waits_for=[(tasks["a"], 0)], not_before=later)
    assert create(new_instance(tasks["a"]), down)[1].state == State.NOT_RUN


def test_who_waits_for_one_that_was_there_is_to_be_looked_at(tasks: dict[str, Task]) -> None:
    create(new_instance(tasks["a"]))
    down = new_instance(tasks["b"], waits_for=[(tasks["a"], 0)])
    assert waiting_for_each_other([down], batch_id=None) == [False]
    assert create(down)[0].state == State.NOT_RUN


def test_a_plan_does_not_wait_for_its_own_instance_outside_of_it(tasks: dict[str, Task]) -> None:
    batch = make_batch(tasks["a"])
    outside = new_instance(tasks["b"], waits_for=[(tasks["a"], 0)])
    assert waiting_for_each_other([new_instance(tasks["a"]), outside], batch_id=batch.pk) == [
        False,
        False,
    ]


def test_every_column_arrives_as_it_was_described(tasks: dict[str, Task]) -> None:
    row = new_instance(tasks["a"], day=3, dry=True, priority=tasks["a"].priority, retry_limit=4)
    (made,) = create(row)
    for field in set(NewInstance._fields) - {"edges"}:
        assert getattr(made, field) == getattr(row, field), field
