"""Tasks over the API: drafts, submission, status, versions and previews (T1, T3, T9, T13)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Prefetch, QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from projects.ground import clock
from projects.ground.refusals import Invalid, Outdated
from projects.rest.idempotency import KEY_PARAMETER, idempotent
from projects.rest.keyset import LongPagination
from projects.rest.scoped import ListRead
from projects.rest.verbs import with_verbs
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
    NewTaskBody,
    ParametersBody,
    TaskPatch,
    read_instant,
    read_owner_ids,
)
from workflows.definitions.closed_references import cover_for
from workflows.definitions.definition import TaskDefinition
from workflows.definitions.parameter_preview import preview_parameters
from workflows.definitions.validation import time_zone_of
from workflows.definitions.version_diff import diff
from workflows.editing.drafts import create_task, delete_draft_task, read_draft, read_written
from workflows.editing.tasks import update_task
from workflows.filters import TaskFilter
from workflows.models import Task, TaskVersion, Workflow
from workflows.parameters.errors import ExpressionError
from workflows.schedules import data_time, describe, next_fire
from workflows.status import with_status
from workflows.verbs.noun import TASKS

MOST_FIRES = 100
_NUMBER = OpenApiParameter("number", int, OpenApiParameter.PATH, description="From 1.")


@with_verbs(TASKS)
class TaskViewSet(ListRead):
    """The tasks of the user's projects."""

    noun, nouns = "task", "tasks"
    queryset = Task.objects.all()
    detail_class = TaskDetail
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
        "created_at": ("first_submitted_at",),
        "drafted_at": ("created_at",),
    }
    ordering = "id"

    def get_serializer_class(self) -> Any:
        return TaskAnswer if self.action == "list" else self.detail_class

    def shown(self, rows: QuerySet[Task]) -> QuerySet[Task]:
        users = get_user_model().objects.only("username").order_by("username")
        unread = ["version__definition", *(["draft"] if self.action == "list" else [])]
        return (
            with_status(rows, clock.now())
            .select_related("project", "workflow__folder", "version", "resource_group")
            .defer(*unread)
            .prefetch_related(Prefetch("owners", users))
        )

    def facts_of(self, rows: Sequence[Task]) -> dict[str, Any]:
        if self.action == "list":
            return {}
        return {"cover": cover_for(self.request.user, [task.pk for task in rows])}

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

    @extend_schema(request=TaskPatch, responses=TaskDetail)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a task's draft, name or owners.

        What is in operations stays as it is until the next submission.
        """
        task = self.find(self.get_queryset())
        body = self.body(TaskPatch)
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
                revision=body.get("revision"),
            )
        return self.answer(task)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a task that was never submitted."""
        delete_draft_task(actor=request.user, task_id=self.pk)
        return Response(status=status.HTTP_204_NO_CONTENT)

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
        version = self.find_version(int(number))
        cover = cover_for(request.user, [version.task_id])
        return Response(VersionDetail(version, context={"cover": cover}).data)

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
            raise ValidationError({"against": [_("Must be the number of a version.")]})
        before = None if against == "0" else self.find_version(int(against))
        cover = cover_for(request.user, [after.task_id])
        differences = diff(
            cover.covered(before.task_id, before.definition) if before else None,
            cover.covered(after.task_id, after.definition),
        )
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
            message = _("Must be a number from 1 to {most}.").format(most=MOST_FIRES)
            raise ValidationError({"count": [message]})
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
            if unsaved is None:
                return read_draft(task.draft, time_zone_of(task))
            return read_written(unsaved, task=task, actor=self.request.user)

    def find_version(self, number: int) -> TaskVersion:
        """Return a version of the task of the address; raise NotFound."""
        task = self.find(self.get_queryset())
        rows = TaskVersion.objects.select_related("submitted_by")
        version = rows.filter(task=task, number=number).first()
        if version is None:
            raise NotFound(_("The task has no version {number}.").format(number=number))
        return version


@contextmanager
def faults_of_definition() -> Iterator[None]:
    """Report the faults of a definition at `definition.<field>`."""
    try:
        yield
    except Outdated as error:
        fields = {_of_definition(field): lines for field, lines in error.fields.items()}
        raise Outdated(error.revision, fields=fields) from error
    except Invalid as error:
        pairs = [
            (_of_definition(field), message)
            for field, messages in error.fields.items()
            for message in messages
        ]
        if not pairs:
            raise
        of_definition = any(field.startswith("definition.") for field, _ in pairs)
        code = "invalid_definition" if of_definition and error.code == "invalid" else error.code
        raise Invalid.from_pairs(pairs, code=code) from error


def _of_definition(field: str) -> str:
    return field if field.split(".")[0] in ("name", "owners") else f"definition.{field}"
