"""Versions and dependencies over the API: read only, written by submission."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Q, QuerySet

from projects.access import projects_with, sight
from projects.rest.keyset import LongPagination
from projects.rest.scoped import ListRead
from workflows.api.answers import DependencyAnswer, VersionAnswer, VersionDetail
from workflows.definitions.closed_references import cover_for
from workflows.filters import DependencyFilter, TaskVersionFilter
from workflows.models import Dependency, TaskVersion


class VersionViewSet(ListRead):
    """The submitted versions of tasks."""

    noun, nouns = "version", "versions"
    queryset = TaskVersion.objects.select_related("submitted_by")
    filterset_class = TaskVersionFilter
    pagination_class = LongPagination
    project_path = "task__project"
    ordering_fields = {"id": ("id",), "submitted_at": ("submitted_at",)}

    def get_serializer_class(self) -> Any:
        return VersionAnswer if self.action == "list" else VersionDetail

    def shown(self, rows: QuerySet[TaskVersion]) -> QuerySet[TaskVersion]:
        return rows.defer("definition") if self.action == "list" else rows

    def facts_of(self, rows: Sequence[TaskVersion]) -> dict[str, Any]:
        if self.action == "list":
            return {}
        return {"cover": cover_for(self.request.user, [version.task_id for version in rows])}


class DependencyViewSet(ListRead):
    """The dependencies that have an end in one of the user's projects."""

    noun, nouns = "dependency", "dependencies"
    queryset = Dependency.objects.all()
    serializer_class = DependencyAnswer
    filterset_class = DependencyFilter
    pagination_class = LongPagination

    def get_queryset(self) -> QuerySet[Dependency]:
        visible = projects_with(self.request.user)
        return Dependency.objects.filter(
            Q(downstream__project__in=visible) | Q(upstream__project__in=visible)
        )

    def shown(self, rows: QuerySet[Dependency]) -> QuerySet[Dependency]:
        related = rows.select_related("upstream__workflow", "downstream__workflow")
        return related.defer("upstream__draft", "downstream__draft")

    def facts_of(self, rows: Sequence[Dependency]) -> dict[str, Any]:
        return {"sight": sight(self.request.user)}
