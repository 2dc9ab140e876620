"""Two projects joined in every way there is; what is in the one, nobody of the other may learn."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db.models import F, Value
from django.db.models.functions import Replace
from knox.models import AuthToken

from backfill.models import Plan, PlanTask
from instances.engine.creation import NewEdge, create_instances
from instances.models import Batch, Execution, Instance
from instances.states import State
from projects.models import Member, Project
from projects.roles import Role
from tests.api.world import Place, make_execution, make_place
from tests.factories import (
    make_data_source,
    make_folder,
    make_member,
    make_project,
    make_submitted_task,
    make_superuser,
    make_task,
    make_user,
    make_workflow,
    mapping,
)
from tests.factories.plans import make_expanded_plan, make_plan, make_spec
from tests.support.engine import DAY, new_instance
from workflows.editing.drafts import save_draft
from workflows.models import Folder, Task, Workflow
from workflows.verbs.submit import submit_tasks

# All that has a name in the hidden project is called by this, and nothing else is.
STEM = "sesame"
# When its tasks are planned: 03:17 in Kathmandu is 21:32 in UTC.
ZONE, AT = "Asia/Kathmandu", "03:17"
# When its work was done. Nothing else happens in that year.
YEAR = 2031
COUNT = 7_919

# What gives the hidden project away, wherever it stands.
MARKS = {
    "a name": re.compile(STEM, re.I),
    "a zone": re.compile(r"kathmandu|\+05:45", re.I),
    "a planned time": re.compile(r"\d\d-\d\d[ T](21:32|03:17)|at 03:17|\"03:17\"|03:17:00"),
    "when it ran": re.compile(rf"\b{YEAR}-"),
    "a count": re.compile(rf"\b({COUNT}|{COUNT:,}|{COUNT + 1}|{COUNT + 1:,})\b"),
}


@dataclass
class Neighbourhood:
    """`reader` is an administrator of the own project, and no member of the hidden one."""

    own: Place
    reader: User
    root: User
    hidden: Project
    folder: Folder
    workflow: Workflow
    source: Task  # an own task waits for it, and it runs in an own plan
    mouth: Task  # waits for an own task, and runs in an own plan
    deep: Task  # `source` waits for it: no neighbour of the own project
    owner: User
    plans: list[Plan]  # of the hidden project, each with an own task
    joined: Task  # of the own project: waits for `source`
    crossing: Plan  # of the own project, with hidden tasks
    draft: Plan  # of the own project, and what is downstream

    def marks(self) -> dict[str, re.Pattern[str]]:
        """What no answer may have in it."""
        far = re.compile(rf"\btask {self.deep.pk}\b")
        return {**MARKS, "a neighbour's neighbour": far}


def make_neighbourhood() -> Neighbourhood:
    """Make both projects, join them, and give the hidden one a life of its own."""
    own_project = make_project("own")
    reader = make_member(own_project, Role.ADMINISTRATOR, user=make_user("reader", is_staff=True))
    own = make_place(own_project, Member.objects.get(user=reader))
    hidden = make_project(f"{STEM} garden", time_zone=ZONE)
    owner = make_member(hidden, Role.ADMINISTRATOR, user=make_user(f"{STEM}_owner"))
    folder = make_folder(hidden, f"{STEM}_folder")
    workflow = make_workflow(f"{STEM}_flow", project=hidden, folder=folder, time_zone=ZONE)
    workflow.owners.add(owner)
    make_data_source(hidden, f"{STEM}_source", password=f"{STEM}_password")
    source, mouth, deep = _hidden_tasks(own, workflow)
    joined = make_submitted_task(
        "joined", workflow=own.workflow, depends_on=[f"{hidden.name}/{workflow.name}/{source.name}"]
    )
    tasks = [own.up, source, mouth, joined]
    crossing = make_expanded_plan(
        make_spec(tasks, "2024-05-01", "2024-05-03"), project_id=own_project.pk, name="crossing"
    )
    plans = _hidden_plans(hidden, [own.up, source, joined])
    draft = make_plan(
        make_spec([own.up, joined], scope="selected_and_downstream"), name="downstream"
    )
    _make_waiting(joined, source)
    AuthToken.objects.create(user=reader)
    hood = Neighbourhood(
        own=replace(own, plan=draft),
        reader=reader,
        root=make_superuser("root"),
        hidden=hidden,
        folder=folder,
        workflow=workflow,
        source=source,
        mouth=mouth,
        deep=deep,
        owner=owner,
        plans=plans,
        joined=joined,
        crossing=crossing,
        draft=draft,
    )
    _live(hood)
    return hood


def _hidden_tasks(own: Place, workflow: Workflow) -> list[Task]:
    """`deep` → `source`, and own `up` → `mouth`; each in its second version."""
    schedule = {"cycle": "day", "at": AT}
    secret: dict[str, Any] = {
        "schedule": schedule,
        "code": f"echo {STEM}",
        "description": STEM,
        "parameters": {f"{STEM}_day": "${yyyymmdd}"},
    }
    above = f"{own.project.name}/{own.workflow.name}/up"
    wanted = {
        "deep": [],
        "source": [f"{STEM}_deep"],
        "mouth": [above],
    }
    made = []
    for name, upstream in wanted.items():
        full = {**secret, "depends_on": upstream}
        task = make_task(f"{STEM}_{name}", workflow=workflow, **{**full, "priority": 3})
        submit_tasks(actor=None, ids=[task.pk], comment=STEM)
        save_draft(actor=None, task_id=task.pk, draft=mapping(**full))
        submit_tasks(actor=None, ids=[task.pk], comment=STEM)
        made.append(Task.objects.select_related("version").get(pk=task.pk))
    return [made[1], made[2], made[0]]


def _hidden_plans(hidden: Project, tasks: list[Task]) -> list[Plan]:
    """Plans of the hidden project that run own tasks: by day, paused, stopped."""
    made = []
    for number, (name, fields) in enumerate(
        {"days": {"run_mode": "day_by_day", "groups": 2}, "paused": {}, "stopped": {}}.items()
    ):
        first = f"2024-0{6 + number}-01"
        last = f"2024-0{6 + number}-04"
        plan = make_expanded_plan(
            make_spec(tasks, first, last, **fields),
            project_id=hidden.pk,
            name=f"{STEM}_{name}",
            description=STEM,
        )
        made.append(plan)
    far = datetime(2100, 1, 1, tzinfo=UTC)
    Batch.objects.filter(pk=made[1].batch_id).update(paused_at=far)
    Batch.objects.filter(pk=made[2].batch_id).update(stopped_at=far)
    return made


def _make_waiting(joined: Task, source: Task) -> None:
    """Own periodic instances that wait for hidden slots, there and not there."""
    slot = datetime(YEAR, 7, 4, 21, 32, tzinfo=UTC)
    local = {"local_time": slot.time(), "data_date": slot.date()}
    create_instances(
        [
            new_instance(source, scheduled_at=slot, not_before=slot, **local),
            new_instance(
                joined,
                day=40,
                edges=tuple(
                    NewEdge(source.pk, slot + timedelta(days=day), False) for day in range(3)
                ),
            ),
        ],
        now=DAY,
        batch_id=None,
    )


def _live(hood: Neighbourhood) -> None:
    """Give the hidden project's rows states, times and counts of their own."""
    mine = Instance.objects.filter(project=hood.hidden)
    then = datetime(YEAR, 3, 3, 3, 3, tzinfo=UTC)
    mine.update(
        state=State.FAILED,
        waiting_since=then,
        ready_at=then,
        started_at=then,
        ended_at=then,
        error_code="EXIT_NONZERO",
        error_message=STEM,
        total_runs=COUNT,
    )
    # When the own plan began is its own, whosever instance was the first.
    mine.filter(batch=hood.crossing.batch_id).update(started_at=DAY, ended_at=DAY)
    _freeze(hood, hood.source)
    for instance in mine[:3]:
        make_execution(
            instance, worker=STEM, code=STEM, error_message=STEM, started_at=then, ended_at=then
        )
    PlanTask.objects.filter(task=hood.source).update(cell_count=COUNT)
    PlanTask.objects.filter(task=hood.mouth).update(cell_count=COUNT + 1)


def _freeze(hood: Neighbourhood, task: Task) -> None:
    """Freeze the instances of a hidden task; all others of its project are failed."""
    mine = Instance.objects.filter(project=hood.hidden)
    mine.exclude(task=task).update(state=State.FAILED, frozen_from="")
    mine.filter(task=task).update(state=State.FROZEN, frozen_from=State.FAILED)


def turn_over(hood: Neighbourhood) -> None:
    """Change all that the own project may not know, and nothing of its own.

    The totals of the own plan are its own: there as many are frozen and failed as before.
    """
    _freeze(hood, hood.mouth)
    first = {version.task_id: version for version in _first_versions(hood)}
    for task in (hood.source, hood.mouth):
        PlanTask.objects.filter(task=task).update(
            cell_count=F("cell_count") + 100, version=first[task.pk]
        )
    # What definitions of the own project name keeps its name: a name that means nothing any more
    # is a fault of theirs.
    named = {"pk__in": [hood.mouth.pk, hood.deep.pk]}
    for rows in (Folder.objects.filter(name__contains=STEM), Task.objects.filter(**named)):
        rows.update(name=Replace("name", Value(STEM), Value("pumpkin")))
    get_user_model().objects.filter(username__contains=STEM).update(
        username=Replace("username", Value(STEM), Value("pumpkin"))
    )
    Plan.objects.filter(project=hood.hidden).update(
        name=Replace("name", Value(STEM), Value("pumpkin")), state="completed", ended_at=DAY
    )
    Batch.objects.filter(project=hood.hidden).update(
        name=Replace("name", Value(STEM), Value("pumpkin"))
    )
    Task.objects.filter(project=hood.hidden).update(status="PAUSED", cycle="hour", type="python")
    Instance.objects.filter(project=hood.hidden).update(
        total_runs=3, error_code="TIMEOUT", scheduled_at=F("scheduled_at") + timedelta(minutes=7)
    )
    Execution.objects.filter(instance__project=hood.hidden).delete()


def _first_versions(hood: Neighbourhood) -> list[Any]:
    tasks = (hood.source, hood.mouth)
    return [task.versions.get(number=1) for task in tasks]
