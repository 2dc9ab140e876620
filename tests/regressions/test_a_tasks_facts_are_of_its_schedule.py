"""First run: of the schedule, virtual tasks too. Created: first submitted. Owner: who made it."""

from __future__ import annotations

import pytest
from django.test import Client

from instances.models import Instance
from instances.worker.execution import begin
from projects.roles import Role
from tests.admin.browsing import Browser
from tests.api.caller import Caller
from tests.factories import make_member, make_project, make_submitted_task, make_workflow, mapping
from tests.support.engine import Engine, make_batch, new_instance
from workflows.models import Task
from workflows.verbs.submit import submit_tasks

pytestmark = pytest.mark.feature("T1")


def first_run_of(task: Task) -> object:
    return Task.objects.values_list("first_run_at", flat=True).get(pk=task.pk)


@pytest.mark.item("3.33")
@pytest.mark.parametrize("kind", ["shell", "virtual"])
@pytest.mark.item("3.33")
def test_the_first_run_is_the_schedules(engine: Engine, kind: str) -> None:
    task = make_submitted_task(type=kind)
    batch = make_batch(task)
    (planned,) = engine.make(new_instance(task, batch=batch), batch=batch)
    if kind == "shell":
        run_in_a_worker(engine, planned)
    assert first_run_of(task) is None
    (periodic,) = engine.make(new_instance(task))
    if kind == "shell":
        run_in_a_worker(engine, periodic)
    periodic.refresh_from_db()
    assert periodic.started_at is not None
    assert first_run_of(task) == periodic.started_at
    engine.make(new_instance(task, day=1))
    assert first_run_of(task) == periodic.started_at


def run_in_a_worker(engine: Engine, instance: Instance) -> None:
    execution = engine.start(instance)
    assert execution is not None
    begin([execution], worker="worker")
    engine.finish(execution)


@pytest.mark.item("1.13", "3.30", "3.32")
@pytest.mark.django_db
@pytest.mark.item("3.32")
def test_created_is_the_first_submission_and_the_maker_owns(client: Client) -> None:
    project = make_project()
    ada = make_member(project, Role.DEVELOPER)
    bob = make_member(project, Role.DEVELOPER)
    workflow = make_workflow(project=project)
    workflow.owners.set([bob])
    caller = Caller(ada)
    body = {"workflow": workflow.pk, "name": "load", "definition": mapping()}
    made = caller.post("tasks/", body, 201)
    assert made["owners"] == [ada.username]
    assert (made["created_at"], made["drafted_at"] is None) == (None, False)
    client.force_login(ada)
    row = Browser(client).get("workflows_task_changelist")
    assert row.ids == [made["id"]]
    Task.objects.filter(pk=made["id"]).update(created_at="2001-01-01T00:00Z")
    submit_tasks(actor=ada, ids=[made["id"]])
    shown = caller.get(f"tasks/{made['id']}/")
    assert shown["created_at"] == shown["last_submitted_at"]
    assert shown["drafted_at"].startswith("2001-01-01")
    assert "2001-01-01" not in Browser(client).get("workflows_task_changelist").text
    assert "2001-01-01" not in Browser(client).get("workflows_task_change", made["id"]).text
