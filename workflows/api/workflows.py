"""Workflows over the API, as objects and as files (W1, T9)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Count, Max, Min, Prefetch, QuerySet
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from projects.ground import clock
from projects.rest.idempotency import KEY_PARAMETER, idempotent
from projects.rest.rendering import YamlRenderer
from projects.rest.scoped import ListRead
from projects.rest.verbs import with_verbs
from workflows.api.answers import ImportAnswer, WorkflowAnswer
from workflows.api.bodies import (
    ImportBody,
    NewWorkflow,
    WorkflowPatch,
    read_owner_ids,
)
from workflows.api.definition_schema import FILE_SCHEMA
from workflows.bundles.exporting import export_workflow
from workflows.bundles.importing import import_bundles
from workflows.bundles.schema import parse_bundle
from workflows.editing.deleting import delete_draft_workflow
from workflows.editing.workflows import WorkflowChanges, create_workflow, update_workflow
from workflows.filters import WorkflowFilter
from workflows.models import Task, Workflow
from workflows.status import effective_status
from workflows.verbs.noun import WORKFLOWS


@with_verbs(WORKFLOWS)
class WorkflowViewSet(ListRead):
    """The workflows of the user's projects."""

    noun, nouns = "workflow", "workflows"
    queryset = Workflow.objects.all()
    serializer_class = WorkflowAnswer
    filterset_class = WorkflowFilter
    ordering_fields = {"id": ("id",), "name": ("name",), "created_at": ("created_at",)}
    ordering = "name"

    def shown(self, rows: QuerySet[Workflow]) -> QuerySet[Workflow]:
        users = get_user_model().objects.only("username").order_by("username")
        related = rows.select_related("project", "folder", "created_by")
        return related.prefetch_related(Prefetch("owners", users))

    def facts_of(self, rows: Sequence[Workflow]) -> dict[str, Any]:
        return {"workflows": task_facts([row.pk for row in rows])}

    @extend_schema(request=NewWorkflow, responses={201: WorkflowAnswer}, parameters=[KEY_PARAMETER])
    @idempotent
    def create(self, request: Request) -> Response:
        """Make an empty workflow."""
        body = self.body(NewWorkflow)
        owners = body.get("owners")
        workflow = create_workflow(
            actor=request.user,
            project_id=body["project"],
            name=body["name"],
            folder_id=body.get("folder"),
            description=body.get("description", ""),
            time_zone=body.get("time_zone", ""),
            owner_ids=None if owners is None else read_owner_ids(body["project"], owners),
        )
        return self.answer(workflow, status=status.HTTP_201_CREATED)

    @extend_schema(request=WorkflowPatch, responses=WorkflowAnswer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a workflow."""
        workflow = self.find(self.get_queryset())
        body = self.body(WorkflowPatch)
        changes = WorkflowChanges()
        for field in ("name", "description", "time_zone"):
            if field in body:
                changes[field] = body[field]
        if "folder" in body:
            changes["folder_id"] = body["folder"]
        if "owners" in body:
            changes["owner_ids"] = read_owner_ids(workflow.project_id, body["owners"])
        return self.answer(
            update_workflow(
                actor=request.user,
                workflow_id=self.pk,
                changes=changes,
                revision=body.get("revision"),
            )
        )

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a workflow of which nothing was ever submitted."""
        delete_draft_workflow(actor=request.user, workflow_id=self.pk)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(responses={(200, "application/yaml"): FILE_SCHEMA})
    @action(detail=True, renderer_classes=[YamlRenderer, JSONRenderer])
    def export(self, request: Request, pk: str) -> HttpResponse:
        """Read a workflow as a file."""
        workflow = self.find(self.get_queryset())
        response = HttpResponse(
            export_workflow(workflow, actor=request.user),
            content_type="application/yaml; charset=utf-8",
        )
        response["Content-Disposition"] = f'attachment; filename="workflow-{workflow.pk}.yaml"'
        response["X-Content-Type-Options"] = "nosniff"
        return response

    @extend_schema(request=ImportBody, responses={200: ImportAnswer}, parameters=[KEY_PARAMETER])
    @action(detail=False, methods=["post"], url_path="import")
    @idempotent
    def import_file(self, request: Request) -> Response:
        """Make a project's workflows what a file says.

        All of it or nothing. Messages begin with the line: `yaml:12: schedule.at: …`.
        """
        body = self.body(ImportBody)
        result = import_bundles(
            actor=request.user,
            project_id=body["project"],
            bundles=parse_bundle(body["yaml"], "yaml"),
            submit=body["submit"],
            prune=body["prune"],
            comment=body["comment"],
        )
        return Response(
            ImportAnswer(
                {
                    "operation_id": result.operation_id,
                    "workflows": result.workflows,
                    "submitted": len(result.submission.outcomes) if result.submission else 0,
                }
            ).data
        )


def task_facts(workflow_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Return {workflow id: its tasks by status, first and last submission}; one query (W1)."""
    rows = (
        Task.objects.filter(workflow__in=workflow_ids)
        .order_by()
        .annotate(status_now=effective_status(clock.now()))
        .values_list("workflow_id", "status_now")
        .annotate(
            number=Count("pk"), first=Min("first_submitted_at"), last=Max("last_submitted_at")
        )
    )
    facts: dict[int, dict[str, Any]] = {}
    for workflow_id, task_status, number, first, last in rows:
        own = facts.setdefault(workflow_id, {"tasks": {}})
        own["tasks"][task_status] = number
        firsts = [moment for moment in (own.get("first_submitted_at"), first) if moment]
        lasts = [moment for moment in (own.get("last_submitted_at"), last) if moment]
        own["first_submitted_at"] = min(firsts, default=None)
        own["last_submitted_at"] = max(lasts, default=None)
    return facts
