"""A project with one of everything that the API shows, and a second one beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone
from knox.models import AuthToken

from backfill.models import Plan
from instances.engine.creation import create_instances
from instances.models import Execution, Instance, LogChunk
from instances.states import Cause, ExecutionState
from projects.administration.users import NAME_LENGTH
from projects.models import DataSource, Member, Project, ResourceGroup
from projects.roles import Role
from projects.verbs.recording import ItemOutcome, record
from tests.factories import (
    make_data_source,
    make_folder,
    make_member,
    make_project,
    make_resource_group,
    make_submitted_tasks,
    make_superuser,
    make_task,
    make_user,
    make_workflow,
)
from tests.factories.plans import make_expanded_plan, make_plan, make_spec
from tests.support.engine import new_instance
from workflows.models import Dependency, Folder, Task, Workflow


@dataclass
class Place:
    """One of everything in a project."""

    project: Project
    folder: Folder
    workflow: Workflow
    up: Task
    down: Task
    draft: Task
    group: ResourceGroup
    source: DataSource
    member: Member
    instance: Instance  # of `down`, waits for `first`
    first: Instance  # of `up`
    execution: Execution  # of `first`
    plan: Plan  # a draft
    expanded: Plan
    operation_id: int
    token: str  # of the member

    @property
    def ids(self) -> dict[str, int | str]:
        """The ids that stand in the addresses of the place."""
        dependency = Dependency.objects.get(upstream=self.up, downstream=self.down)
        assert self.up.version_id is not None
        return {
            "projects": self.project.pk,
            "members": self.member.pk,
            "resource-groups": self.group.pk,
            "data-sources": self.source.pk,
            "operations": self.operation_id,
            "folders": self.folder.pk,
            "workflows": self.workflow.pk,
            "tasks": self.up.pk,
            "versions": self.up.version_id,
            "dependencies": dependency.pk,
            "instances": self.instance.pk,
            "executions": self.execution.pk,
            "backfills": self.plan.pk,
            "tokens": self.token,
        }


@dataclass
class World:
    """`place` is where `users` have roles; nobody but `outsider` is a member of `elsewhere`."""

    place: Place
    elsewhere: Place
    outsider: User
    superuser: User
    users: dict[str, User] = field(default_factory=dict)


def make_place(project: Project, member: Member) -> Place:
    """Fill a project."""
    folder = make_folder(project)
    workflow = make_workflow(project=project, folder=folder)
    group = make_resource_group(kind=ResourceGroup.Kind.EXCLUSIVE, projects=(project,))
    tasks = make_submitted_tasks(
        {"up": {}, "down": {"depends_on": ["up"], "parameters": {"day": "${yyyymmdd}"}}},
        workflow=workflow,
    )
    up, down = tasks["up"], tasks["down"]
    first, instance = make_instances(up, down)
    spec = make_spec([up, down])
    expanded = make_expanded_plan(spec)
    operation = record(
        actor=member.user,
        verb="tasks.look",
        object_type="task",
        project_id=project.pk,
        outcomes=[ItemOutcome(up.pk, label="up")],
    )
    token, _ = AuthToken.objects.create(user=member.user)
    return Place(
        project=project,
        folder=folder,
        workflow=workflow,
        up=up,
        down=down,
        draft=make_task("draft", workflow=workflow),
        group=group,
        source=make_data_source(project, password="s3cret-of-the-source"),
        member=member,
        instance=instance,
        first=first,
        execution=make_execution(first),
        plan=make_plan(spec),
        expanded=expanded,
        operation_id=operation.operation_id,
        token=token.digest[:NAME_LENGTH],
    )


def make_instances(up: Task, down: Task, day: int = 0) -> list[Instance]:
    """Make an instance of `up`, and one of `down` that waits for it; neither is set going."""
    ids = create_instances(
        [new_instance(up, day=day), new_instance(down, day=day, waits_for=[(up, day)])],
        now=timezone.now(),
        batch_id=None,
    )
    found = Instance.objects.in_bulk(ids)
    return [found[pk] for pk in ids]


def make_execution(instance: Instance, **fields: Any) -> Execution:
    """Make an ended execution with a log."""
    now = timezone.now()
    values: dict[str, Any] = {
        "number": 1,
        "task_id": instance.task_id,
        "cause": Cause.FIRST,
        "state": ExecutionState.FAILED,
        "resource_group_id": instance.resource_group_id,
        "waiting_since": now - timedelta(minutes=3),
        "ready_at": now - timedelta(minutes=2),
        "dispatched_at": now - timedelta(minutes=2),
        "announced_at": now - timedelta(minutes=2),
        "started_at": now - timedelta(minutes=1),
        "ended_at": now,
        "code": "echo done",
        "error_code": "EXIT_NONZERO",
        "error_message": "exit code 1",
    }
    execution = Execution.objects.create(instance=instance, **{**values, **fields})
    for sequence, text in enumerate([b"first line\n", b"second line\n"]):
        LogChunk.objects.create(
            execution=execution, sequence=sequence, content=text, size=len(text)
        )
    return execution


def make_world() -> World:
    """Make both projects and a user for each role."""
    project = make_project("here")
    users = {role.value: make_member(project, role, user=make_user(role.value)) for role in Role}
    other = make_project("elsewhere")
    outsider = make_member(other, Role.ADMINISTRATOR, user=make_user("outsider"))
    return World(
        place=make_place(project, Member.objects.get(user=users["viewer"])),
        elsewhere=make_place(other, Member.objects.get(user=outsider)),
        outsider=outsider,
        superuser=make_superuser("root"),
        users=users,
    )
