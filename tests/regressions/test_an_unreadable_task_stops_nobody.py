"""One task of which nothing can be made is left out, and says so; the others go on."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client

from instances.engine.generation import generate
from instances.engine.rescue import rescue
from instances.models import Instance
from instances.states import State
from projects.ground import clock
from tests.factories import make_submitted_task, make_submitted_tasks
from tests.instances.engine.test_generation import START, hours, planned, scheduled_since
from tests.support.engine import LEASE, Engine, live_executions, new_instance, state_of
from workflows.definitions import version_loading
from workflows.models import Task
from workflows.verbs.submit import submit_tasks

HOURLY = {"schedule": {"cycle": "hour", "every": 1}}


def set_zone(task: Task, zone: str) -> None:
    """Let the task's version be in a zone, which need not exist."""
    _write(task, "time_zone", zone)


def break_definition(task: Task) -> None:
    """Write what a version can never hold."""
    _write(task, "definition", '{"type": "shell", "schedule": {"cycle": "day"}}')


def _write(task: Task, column: str, value: str) -> None:
    """Change a version past the trigger that keeps it."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            f"UPDATE workflows_taskversion SET {column} = %s WHERE task_id = %s", [value, task.pk]
        )
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")
    version_loading.forget()


@pytest.fixture(autouse=True)
def fresh_cache() -> Iterable[None]:
    yield
    version_loading.forget()


@pytest.mark.feature("T11")
@pytest.mark.parametrize("what", ["zone", "definition"])
def test_the_others_are_made_and_the_broken_one_later(
    engine: Engine, client: Client, what: str
) -> None:
    healthy = make_submitted_task(**HOURLY)
    broken = make_submitted_task(**HOURLY)
    scheduled_since(START, healthy, broken)
    if what == "zone":
        set_zone(broken, "Mars/Phobos")
    else:
        break_definition(broken)
    with engine.committing():
        assert generate(now=START + timedelta(hours=2)) == 2
    assert planned(healthy) == hours(1, 2)
    broken.refresh_from_db()
    assert broken.generation_error.startswith("Its definition cannot be read")
    client.force_login(get_user_model().objects.create_superuser("root"))
    page = client.get(f"/admin/workflows/task/{broken.pk}/change/")
    assert page.status_code == 200
    assert "no instance can be made of it" in page.content.decode()
    assert client.get(f"/api/v1/tasks/{broken.pk}/").json()["generation_error"]
    if what == "zone":  # the machine learns of it
        set_zone(broken, "UTC")
    else:
        version_loading.forget()
        assert submit_tasks(actor=None, ids=[broken.pk]).succeeded
    with engine.committing():
        generate(now=START + timedelta(hours=3))
    broken.refresh_from_db()
    assert broken.generation_error == ""
    if what == "zone":
        assert planned(broken) == hours(1, 2, 3)


@pytest.mark.feature("T12")
def test_who_waits_for_a_broken_task_is_not_made_without_it(engine: Engine) -> None:
    tasks = make_submitted_tasks({"up": HOURLY, "down": {**HOURLY, "depends_on": ["up"]}})
    scheduled_since(START, *tasks.values())
    set_zone(tasks["up"], "Mars/Phobos")
    with engine.committing():
        assert generate(now=START + timedelta(hours=1)) == 0
    tasks["down"].refresh_from_db()
    assert "The definition of up, which it waits for" in tasks["down"].generation_error
    set_zone(tasks["up"], "UTC")
    with engine.committing():
        assert generate(now=START + timedelta(hours=1)) == 2
    assert Instance.objects.get(task=tasks["down"]).edges.get().upstream is not None


def test_many_that_are_broken_are_in_nobodys_way(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("instances.engine.generation.TASKS_AT_ONCE", 2)
    tasks = make_submitted_tasks({f"t{number}": HOURLY for number in range(6)})
    scheduled_since(START, *tasks.values())
    for number in range(5):
        set_zone(tasks[f"t{number}"], "Mars/Phobos")
    for hour in (1, 2):
        with engine.committing():
            assert generate(now=START + timedelta(hours=hour)) == 1
    assert planned(tasks["t5"]) == hours(1, 2)


def test_lost_executions_are_rescued_though_a_version_cannot_be_read(engine: Engine) -> None:
    tasks = make_submitted_tasks({"good": {}, "broken": {}})
    instances = engine.make(*(new_instance(task) for task in tasks.values()))
    assert all(engine.start(one) is not None for one in instances)
    break_definition(tasks["broken"])
    with engine.committing():
        assert rescue(now=clock.now() + 2 * LEASE)[0] == 2
    good, broken = (state_of(one) for one in instances)
    assert (good, broken) == (State.WAITING_EXECUTION, State.WAITING_EXECUTION)
    executions = live_executions(instances)
    assert engine.start(instances[1]) is not None
    assert engine.finish(executions[1], "INTERNAL_ERROR") == [executions[1]]
    assert state_of(instances[1]) == State.FAILED
