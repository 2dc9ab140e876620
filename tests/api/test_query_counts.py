"""No list asks the database more often for many rows than for few."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backfill.models import Plan
from instances.models import Edge, Execution, Instance
from projects.models import Member, Operation
from projects.verbs.recording import ItemOutcome, record
from tests.api.caller import Caller
from tests.api.routes import ROUTES, Route
from tests.api.world import Place, World, make_execution, make_instances
from tests.factories import (
    make_data_source,
    make_folder,
    make_member,
    make_project,
    make_resource_group,
    make_submitted_tasks,
    make_workflow,
)
from tests.factories.plans import make_expanded_plan, make_spec
from workflows.models import Dependency, Task, TaskVersion

pytestmark = [pytest.mark.django_db, pytest.mark.feature("P4")]

READS = [route for route in ROUTES if route.method == "GET"]
FEW, MANY = 2, 20


def grow(place: Place, owner: Member, number: int) -> None:
    """Make `number` more rows of everything, all of them different in what they refer to."""
    project, user = place.project, owner.user
    for _ in range(number):
        make_member(make_project(), owner.role, user=user)
        make_member(project)
        make_data_source(project)
        make_resource_group(projects=(project,))
        folder = make_folder(project)
        workflow = make_workflow(project=project, folder=folder, created_by=user)
        workflow.owners.set([user, make_member(project)])
        upstream = f"{place.workflow.name}/up"
        tasks = make_submitted_tasks(
            {"one": {}, "two": {"depends_on": ["one", upstream]}}, workflow=workflow
        )
        for task in tasks.values():
            task.owners.set(workflow.owners.all())
        first, second = make_instances(tasks["one"], tasks["two"])
        make_execution(first)
        make_execution(second)
        make_execution(place.first, number=Execution.objects.count() + 10)
        others = make_instances(place.up, place.down, day=1000 + Instance.objects.count())
        Edge.objects.create(
            instance=place.instance,
            upstream_task=tasks["one"],
            upstream_scheduled_at=first.scheduled_at,
            upstream=first,
        )
        Edge.objects.create(
            instance=others[1],
            upstream_task=place.down,
            upstream_scheduled_at=place.instance.scheduled_at,
            upstream=place.instance,
        )
        make_expanded_plan(make_spec([tasks["one"], tasks["two"]]))
        record(
            actor=user,
            verb="tasks.look",
            object_type="task",
            project_id=project.pk,
            outcomes=[ItemOutcome(task.pk) for task in tasks.values()],
        )
    _widen(place, owner)


def _widen(place: Place, owner: Member) -> None:
    """Put a plan, versions and an operation with many parts where the one is that is read."""
    tasks = list(Task.objects.filter(project=place.project, version__isnull=False))
    place.expanded = make_expanded_plan(make_spec(tasks))
    place.operation_id = record(
        actor=owner.user,
        verb="tasks.look",
        object_type="task",
        project_id=place.project.pk,
        outcomes=[ItemOutcome(task.pk) for task in tasks],
    ).operation_id
    version = place.up.version
    assert version is not None
    taken = TaskVersion.objects.filter(task=place.up).count()
    TaskVersion.objects.bulk_create(
        TaskVersion(
            task=place.up,
            number=number,
            definition=version.definition,
            type=version.type,
            cycle=version.cycle,
            time_zone=version.time_zone,
            submitted_by=owner.user,
            submitted_at=version.submitted_at,
        )
        for number in range(taken + 1, len(tasks) + 1)
    )


def count(caller: Caller, route: Route, place: Place) -> int:
    with CaptureQueriesContext(connection) as queries:
        response = caller.call("GET", route.address(place))
        if response.streaming:
            b"".join(response.streaming_content)
    assert response.status_code == 200, (route.path, response.content[:500])
    return len(queries)


@pytest.mark.parametrize("who", ["member", "superuser"])
def test_every_read_takes_as_many_queries_for_many_rows_as_for_few(world: World, who: str) -> None:
    place, owner = world.place, Member.objects.get(user=world.users["viewer"])
    caller = Caller(world.superuser if who == "superuser" else owner.user)
    grow(place, owner, FEW)
    few = {route.path: count(caller, route, place) for route in READS}
    sizes = _sizes()
    grow(place, owner, MANY - FEW)
    many = {route.path: count(caller, route, place) for route in READS}
    assert {path: (few[path], many[path]) for path in few if many[path] > few[path]} == {}
    assert all(after > before for before, after in zip(sizes, _sizes(), strict=True))
    assert max(few.values()) <= 15


def _sizes() -> list[int]:
    models = (Task, Instance, Execution, Edge, Plan, Operation, Member, Dependency)
    return [model.objects.count() for model in models]
