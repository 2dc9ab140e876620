"""Backfill plans over the API (B1, B2, B6, B8, B10, B11, B16, B21 to B23, B25)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Prefetch, QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from backfill.api.answers import (
    CellAnswer,
    PlanAnswer,
    PlanDayAnswer,
    PlanTaskAnswer,
    PreviewAnswer,
    SpecField,
    progress_answer,
)
from backfill.api.cells import cells_page
from backfill.filters import PlanFilter
from backfill.models import Plan, PlanTask
from backfill.models.shown import with_states
from backfill.planning.context import read_spec
from backfill.planning.preview import preview
from backfill.reading.day_progress import days_progress
from backfill.reading.progress import Progress, progress_of, tasks_progress
from backfill.spec import PlanSpec
from backfill.states import SkipReason
from backfill.verbs.noun import PLANS
from backfill.verbs.plans import create_plan, delete_draft, update_plan
from instances.models import BatchDay
from instances.states import State
from projects.access import sight
from projects.ground import clock
from projects.ground.closed_box import Sight
from projects.ground.refusals import Conflict, Invalid, Outdated
from projects.models import Project
from projects.rest.fields import Body, TextField, VisibleField
from projects.rest.idempotency import KEY_PARAMETER, idempotent
from projects.rest.keyset import LongPagination
from projects.rest.scoped import ListRead
from projects.rest.verbs import with_verbs
from projects.verbs.verb import Verb
from workflows.api.bodies import RevisionBody


class PlanTexts(Body):
    """What people call a plan."""

    name = TextField(max_length=100, required=False)
    description = TextField(max_length=256, required=False, allow_blank=True)


class PlanChanges(PlanTexts, RevisionBody):
    """What may change of a draft."""

    spec = SpecField(required=False)


class NewPlan(PlanTexts):
    """A draft to be made; without a name it gets one."""

    project = VisibleField(Project, path="")
    spec = SpecField()


class UnsavedPlan(Body):
    """A plan that is not saved."""

    project = VisibleField(Project, path="")
    spec = SpecField()


@with_verbs(PLANS)
class BackfillViewSet(ListRead):
    """The backfill plans of the user's projects."""

    noun, nouns = "backfill plan", "backfill plans"
    queryset = Plan.objects.all()
    serializer_class = PlanAnswer
    filterset_class = PlanFilter
    ordering_fields = {
        "id": ("id",),
        "name": ("name",),
        "created_at": ("created_at",),
        "submitted_at": ("submitted_at",),
        "task_count": ("task_count",),
        "state": ("shown_state", "id"),
        "result": ("result", "id"),
    }

    def get_queryset(self) -> QuerySet[Plan]:
        return with_states(super().get_queryset())

    def shown(self, rows: QuerySet[Plan]) -> QuerySet[Plan]:
        return rows.select_related("created_by")

    def facts_of(self, rows: Sequence[Plan]) -> dict[str, Any]:
        return {"progress": progress_of([plan.pk for plan in rows])}

    @extend_schema(request=NewPlan, responses={201: PlanAnswer}, parameters=[KEY_PARAMETER])
    @idempotent
    def create(self, request: Request) -> Response:
        """Make a draft plan.

        What is wrong with its spec is reported at `spec.<field>`.
        """
        body = self.body(NewPlan)
        with faults_of_spec():
            plan = create_plan(
                actor=request.user,
                project_id=body["project"],
                spec=spec_of(body, body["project"]),
                name=body.get("name"),
                description=body.get("description", ""),
            )
        return self.answer(plan, status=status.HTTP_201_CREATED)

    @extend_schema(request=PlanChanges, responses=PlanAnswer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a draft plan."""
        plan = self.find(self.get_queryset())
        body = self.body(PlanChanges)
        with faults_of_spec():
            update_plan(
                actor=request.user,
                plan_id=plan.pk,
                name=body.get("name"),
                description=body.get("description"),
                spec=spec_of(body, plan.project_id) if "spec" in body else None,
                revision=body.get("revision"),
            )
        return self.answer(plan)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a draft plan."""
        delete_draft(actor=request.user, plan_id=self.pk)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        operation_id="backfills_preview_unsaved_create",
        request=UnsavedPlan,
        responses=PreviewAnswer,
    )
    @action(detail=False, methods=["post"], url_path="preview")
    def preview_unsaved(self, request: Request) -> Response:
        """Say what a plan that is not saved would do. Nothing is changed."""
        body = self.body(UnsavedPlan)
        with faults_of_spec():
            found = preview(
                actor=request.user,
                project_id=body["project"],
                spec=spec_of(body, body["project"]),
                now=clock.now(),
            )
        return Response(PreviewAnswer(found).data)

    @extend_schema(request=None, responses=PreviewAnswer)
    @action(detail=True, methods=["post"])
    def preview(self, request: Request, pk: str) -> Response:
        """Say what a plan would do. Nothing is changed."""
        plan = self.find(self.get_queryset())
        with faults_of_spec():
            found = preview(
                actor=request.user,
                project_id=plan.project_id,
                spec=PlanSpec.from_mapping(plan.spec),
                now=clock.now(),
            )
        return Response(PreviewAnswer(found).data)

    def faults_of(self, verb: Verb) -> AbstractContextManager[None]:
        return faults_of_spec()

    @extend_schema(responses=PlanTaskAnswer(many=True), filters=False)
    @action(detail=True, pagination_class=LongPagination)
    def tasks(self, request: Request, pk: str) -> Response:
        """List the tasks of a submitted plan, and how far each has come."""
        plan = self.find(self.get_queryset())
        users = get_user_model().objects.only("username").order_by("username")
        rows = (
            PlanTask.objects.filter(plan=plan)
            .select_related("task__workflow", "version")
            .defer("task__draft", "version__definition")
            .prefetch_related(Prefetch("task__owners", users))
            .order_by("position", "id")
        )
        page = self.paginate_queryset(rows) or []
        progress = tasks_progress(plan.pk)
        eyes = sight(request.user)
        return self.get_paginated_response(
            [_task_facts(row, progress[row.task_id], eyes) for row in page]
        )

    @extend_schema(responses=PlanDayAnswer(many=True), filters=False)
    @action(detail=True, pagination_class=LongPagination)
    def days(self, request: Request, pk: str) -> Response:
        """List the days of a plan that runs day by day, lane by lane, and how far each has come."""
        plan = self.find(self.get_queryset())
        rows = BatchDay.objects.filter(batch=plan.batch_id).order_by("lane", "position", "id")
        page = self.paginate_queryset(rows) or []
        found = days_progress(plan, page)
        return self.get_paginated_response(PlanDayAnswer(found, many=True).data)

    @extend_schema(
        responses=CellAnswer(many=True),
        filters=False,
        parameters=[
            OpenApiParameter("task", int, many=True),
            OpenApiParameter("state", str, many=True, enum=State.values),
            OpenApiParameter("skip", str, many=True, enum=SkipReason.values),
            OpenApiParameter("data_date_from", str, description="YYYY-MM-DD, included."),
            OpenApiParameter("data_date_until", str, description="YYYY-MM-DD, included."),
        ],
    )
    @action(detail=True, pagination_class=LongPagination)
    def cells(self, request: Request, pk: str) -> Response:
        """List the cells of a plan: instances, and skips with their reason."""
        return Response(cells_page(self.find(self.get_queryset()), request))


def spec_of(body: dict[str, Any], project_id: int) -> PlanSpec:
    """Return the spec of a body; raise Invalid at the field at fault."""
    return read_spec(body["spec"], project=Project.objects.get(pk=project_id), now=clock.now())


@contextmanager
def faults_of_spec() -> Iterator[None]:
    """Report the faults of a spec at `spec.<field>`."""
    try:
        yield
    except Outdated as error:
        fields = {_of_spec(field): lines for field, lines in error.fields.items()}
        raise Outdated(error.revision, fields=fields) from error
    except Conflict as error:
        # Of a single plan it has always been said so, of many as of all nouns: "wrong_state".
        raise Conflict(error.detail) from error
    except Invalid as error:
        pairs = [
            (_of_spec(field), message)
            for field, messages in error.fields.items()
            for message in messages
        ]
        if not pairs:
            raise
        raise Invalid.from_pairs(pairs, code=error.code) from error


def _of_spec(field: str) -> str:
    return field if field in ("name", "description") else f"spec.{field}".rstrip(".")


def _task_facts(row: PlanTask, progress: Progress, eyes: Sight) -> dict[str, Any]:
    task = row.task
    shown = eyes.facts(
        task.project_id,
        name=task.name,
        workflow=task.workflow.name,
        project=task.project_id,
        owners=[user.get_username() for user in task.owners.all()],
        cycle=row.version.cycle,
        version=row.version.number,
        cells=row.cell_count,
        dry=row.dry,
        progress=progress_answer(progress),
        started_at=progress.started_at,
        ended_at=progress.ended_at,
    )
    visible = shown["visible"]
    return {
        "task": task.pk,
        "position": row.position,
        "state": progress.state.value if visible else None,
        "result": progress.result.value if visible else None,
        **shown,
    }
