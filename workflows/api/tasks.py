"""Tasks over the API: drafts, submission, status, versions and previews (T1, T3, T9, T13)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Prefetch, QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from projects import clock
from projects.api.batch import BatchAnswer, BatchBody, batch_answer, chosen_ids, raise_refusal
from projects.api.idempotency import KEY_PARAMETER, idempotent
from projects.api.keyset import LongPagination
from projects.api.scoped import ListRead
from projects.operations import BatchResult
from projects.refusals import Invalid
from workflows.api.answers import (
    DiffAnswer,
    FiresAnswer,
    ParametersAnswer,
    TaskAnswer,
    TaskDetail,
    VersionAnswer,
    VersionDetail,
)
from workflows.api.bodies import (
    BatchSubmitBody,
    NewTaskBody,
    ParametersBody,
    SubmitBody,
    TaskChanges,
    read_instant,
    read_owner_ids,
)
from workflows.definition import TaskDefinition
from workflows.drafts import create_task, delete_draft_task, read_draft
from workflows.filters import TaskFilter
from workflows.models import Task, TaskVersion, Workflow
from workflows.parameter_preview import preview_parameters
from workflows.parameters.errors import ExpressionError
from workflows.schedules import data_time, describe, next_fire
from workflows.submission import submit_tasks
from workflows.task_editing import update_task
from workflows.task_status import pause, start, take_offline, with_status
from workflows.validation import time_zone_of
from workflows.version_diff import diff

MOST_FIRES = 100
_NUMBER = OpenApiParameter("number", int, OpenApiParameter.PATH, description="From 1.")


class TaskViewSet(ListRead):
    """The tasks of the user's projects."""

    noun, nouns = "task", "tasks"
    queryset = Task.objects.all()
    filterset_class = TaskFilter
    pagination_class = LongPagination
    ordering_fields = {
        "id": ("id",),
        "name": ("name",),
        "workflow": ("workflow__name", "position"),
        "type": ("type",),
        "cycle": ("cycle",),
        "priority": ("priority",),
        "next_fire_at": ("next_fire_at",),
        "last_submitted_at": ("last_submitted_at",),
        "first_run_at": ("first_run_at",),
        "effective_from": ("effective_from",),
        "effective_until": ("effective_until",),
        "created_at": ("created_at",),
    }
    ordering = "id"

    def get_serializer_class(self) -> Any:
        return TaskAnswer if self.action == "list" else TaskDetail

    def shown(self, rows: QuerySet[Task]) -> QuerySet[Task]:
        users = get_user_model().objects.only("username").order_by("username")
        unread = ["version__definition", *(["draft"] if self.action == "list" else [])]
        return (
            with_status(rows, clock.now())
            .select_related("project", "workflow__folder", "version", "resource_group")
            .defer(*unread)
            .prefetch_related(Prefetch("owners", users))
        )

    @extend_schema(request=NewTaskBody, responses={201: TaskDetail}, parameters=[KEY_PARAMETER])
    @idempotent
    def create(self, request: Request) -> Response:
        """Make a draft task.

        What is wrong with its definition is reported at `definition.<field>`.
        """
        body = self.body(NewTaskBody)
        owners = body.get("owners")
        if owners is not None:
            project_id = Workflow.objects.values_list("project_id").get(pk=body["workflow"])[0]
            owners = read_owner_ids(project_id, owners)
        with faults_of_definition():
            task = create_task(
                actor=request.user,
                workflow_id=body["workflow"],
                name=body["name"],
                draft=body["definition"],
                owner_ids=owners,
            )
        return self.answer(task, status=status.HTTP_201_CREATED)

    @extend_schema(request=TaskChanges, responses=TaskDetail)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a task's draft, name or owners.

        What is in operations stays as it is until the next submission.
        """
        task = self.find(self.get_queryset())
        body = self.body(TaskChanges)
        owners = body.get("owners")
        if owners is not None:
            owners = read_owner_ids(task.project_id, owners)
        with faults_of_definition():
            update_task(
                actor=request.user,
                task_id=task.pk,
                name=body.get("name"),
                draft=body.get("definition"),
                owner_ids=owners,
            )
        return self.answer(task)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a task that was never submitted."""
        delete_draft_task(actor=request.user, task_id=self.pk)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=SubmitBody, responses=TaskDetail)
    @action(detail=True, methods=["post"])
    def submit(self, request: Request, pk: str) -> Response:
        """Submit a task: its draft becomes a version and goes into operations."""
        comment = self.body(SubmitBody)["comment"]
        submit_tasks(actor=request.user, task_ids=[self.pk], comment=comment)
        return self.answer_address()

    @extend_schema(request=None, responses=TaskDetail)
    @action(detail=True, methods=["post"])
    def start(self, request: Request, pk: str) -> Response:
        """Start a paused task."""
        return self.operate(start)

    @extend_schema(request=None, responses=TaskDetail)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: str) -> Response:
        """Pause a task: no new instances."""
        return self.operate(pause)

    @extend_schema(request=None, responses=TaskDetail)
    @action(detail=True, methods=["post"])
    def offline(self, request: Request, pk: str) -> Response:
        """Take a task offline."""
        return self.operate(take_offline)

    @extend_schema(request=BatchSubmitBody, responses=BatchAnswer)
    @action(detail=False, methods=["post"], url_path="batch/submit")
    def batch_submit(self, request: Request) -> Response:
        """Submit many tasks, together or not at all."""
        body = self.body(BatchSubmitBody)
        comment = body.pop("comment")
        ids = self.chosen(body)
        return batch_answer(submit_tasks(actor=request.user, task_ids=ids, comment=comment))

    @extend_schema(request=BatchBody, responses=BatchAnswer)
    @action(detail=False, methods=["post"], url_path="batch/start")
    def batch_start(self, request: Request) -> Response:
        """Start many paused tasks."""
        return self.operate_many(start)

    @extend_schema(request=BatchBody, responses=BatchAnswer)
    @action(detail=False, methods=["post"], url_path="batch/pause")
    def batch_pause(self, request: Request) -> Response:
        """Pause many tasks."""
        return self.operate_many(pause)

    @extend_schema(request=BatchBody, responses=BatchAnswer)
    @action(detail=False, methods=["post"], url_path="batch/offline")
    def batch_offline(self, request: Request) -> Response:
        """Take many tasks offline."""
        return self.operate_many(take_offline)

    @extend_schema(responses=VersionAnswer(many=True), filters=False)
    @action(detail=True)
    def versions(self, request: Request, pk: str) -> Response:
        """List the versions of a task, the last one first."""
        rows = TaskVersion.objects.filter(task=self.find(self.get_queryset()))
        rows = rows.select_related("submitted_by").defer("definition").order_by("-id")
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(VersionAnswer(page, many=True).data)

    @extend_schema(responses=VersionDetail, parameters=[_NUMBER])
    @action(detail=True, url_path=r"versions/(?P<number>\d{1,9})")
    def version(self, request: Request, pk: str, number: str) -> Response:
        """Read one version of a task."""
        return Response(VersionDetail(self.find_version(int(number))).data)

    @extend_schema(
        responses=DiffAnswer,
        parameters=[
            _NUMBER,
            OpenApiParameter("against", int, description="A version; without it the one before."),
        ],
    )
    @action(detail=True, url_path=r"versions/(?P<number>\d{1,9})/diff")
    def diff(self, request: Request, pk: str, number: str) -> Response:
        """Compare a version with the one before, or with any other."""
        after = self.find_version(int(number))
        against = request.query_params.get("against", str(after.number - 1))
        if not (against.isascii() and against.isdigit() and len(against) <= 9):
            raise ValidationError({"against": ["Must be the number of a version."]})
        before = None if against == "0" else self.find_version(int(against))
        differences = diff(before.definition if before else None, after.definition)
        answer = {
            "before": before.number if before else None,
            "after": after.number,
            "differences": differences,
        }
        return Response(DiffAnswer(answer).data)

    @extend_schema(request=ParametersBody, responses=ParametersAnswer)
    @action(detail=True, methods=["post"], url_path="preview-parameters")
    def preview_parameters(self, request: Request, pk: str) -> Response:
        """Say what a task's parameters are on a date. Nothing is changed."""
        task = self.get_object()
        body = self.body(ParametersBody)
        try:
            found = preview_parameters(
                self.definition_of(task, body.get("definition")),
                task_id=task.pk,
                task_name=task.name,
                workflow=task.workflow.name,
                project=task.project.name,
                data_day=body.get("data_date"),
                scheduled_at=body.get("scheduled_at"),
                overrides=body.get("overrides"),
            )
        except ExpressionError as error:
            raise Invalid.from_pairs([("overrides", str(error))]) from error
        return Response(ParametersAnswer(found).data)

    @extend_schema(
        responses=FiresAnswer,
        parameters=[
            OpenApiParameter("count", int, description=f"From 1 to {MOST_FIRES}; default 10."),
            OpenApiParameter("after", str, description="A time with an offset; default now."),
        ],
    )
    @action(detail=True)
    def fires(self, request: Request, pk: str) -> Response:
        """List the next planned times of a task's draft."""
        task = self.get_object()
        count = request.query_params.get("count", "10")
        if not (count.isascii() and count.isdigit() and 1 <= int(count[:4]) <= MOST_FIRES):
            raise ValidationError({"count": [f"Must be a number from 1 to {MOST_FIRES}."]})
        after = request.query_params.get("after")
        moment = clock.now() if after is None else read_instant(after, "after")
        schedule = self.definition_of(task, None).schedule
        fires: list[dict[str, Any]] = []
        while len(fires) < int(count) and (fire := next_fire(schedule, moment)) is not None:
            moment = fire
            local = data_time(fire, schedule.zone)
            fires.append(
                {"scheduled_at": fire.astimezone(schedule.zone), "data_time": f"{local:%F %T}"}
            )
        return Response({"schedule": describe(schedule), "fires": fires})

    def definition_of(self, task: Task, unsaved: Any) -> TaskDefinition:
        """Return the definition that is asked about: one that is not saved, or the draft."""
        with faults_of_definition():
            return read_draft(task.draft if unsaved is None else unsaved, time_zone_of(task))

    def find_version(self, number: int) -> TaskVersion:
        """Return a version of the task of the address; raise NotFound."""
        task = self.find(self.get_queryset())
        rows = TaskVersion.objects.select_related("submitted_by")
        version = rows.filter(task=task, number=number).first()
        if version is None:
            raise NotFound(f"The task has no version {number}.")
        return version

    def chosen(self, body: dict[str, Any]) -> list[int]:
        """Return the ids of the tasks that a body names."""
        return chosen_ids(
            body, rows=self.get_queryset(), filterset_class=TaskFilter, request=self.request
        )

    def operate(self, verb: Callable[..., BatchResult]) -> Response:
        """Do `verb` to the task of the address and answer with it."""
        raise_refusal(verb(actor=self.request.user, task_ids=[self.pk]))
        return self.answer_address()

    def operate_many(self, verb: Callable[..., BatchResult]) -> Response:
        """Do `verb` to the tasks of the body."""
        ids = self.chosen(self.body(BatchBody))
        return batch_answer(verb(actor=self.request.user, task_ids=ids))

    def answer_address(self) -> Response:
        """Answer with the task of the address as it is now."""
        return Response(self.shown_as([self.get_object()])[0])


@contextmanager
def faults_of_definition() -> Iterator[None]:
    """Report the faults of a definition at `definition.<field>`."""
    try:
        yield
    except Invalid as error:
        pairs = [
            (field if field.split(".")[0] in ("name", "owners") else f"definition.{field}", message)
            for field, messages in error.fields.items()
            for message in messages
        ]
        if not pairs:
            raise
        of_definition = any(field.startswith("definition.") for field, _ in pairs)
        code = "invalid_definition" if of_definition and error.code == "invalid" else error.code
        raise Invalid.from_pairs(pairs, code=code) from error
