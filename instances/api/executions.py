"""Executions over the API (I11)."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from instances.api.answers import ExecutionAnswer, ExecutionDetail, LogAnswer
from instances.api.instances import POSITION
from instances.api.logs import log_answer, log_download
from instances.filters import ExecutionFilter
from instances.models import Execution
from projects.rest.keyset import LongPagination
from projects.rest.rendering import TextRenderer
from projects.rest.scoped import ListRead


class ExecutionViewSet(ListRead):
    """The executions in the user's projects."""

    noun, nouns = "execution", "executions"
    queryset = Execution.objects.select_related("resource_group")
    filterset_class = ExecutionFilter
    pagination_class = LongPagination
    project_path = "instance__project"
    ordering_fields = {"id": ("id",), "started_at": ("started_at",), "ended_at": ("ended_at",)}

    def get_serializer_class(self) -> Any:
        return ExecutionAnswer if self.action == "list" else ExecutionDetail

    def get_queryset(self) -> QuerySet[Execution]:
        rows = super().get_queryset()
        return rows.defer("code", "parameters") if self.action == "list" else rows

    @extend_schema(responses=LogAnswer, parameters=[POSITION])
    @action(detail=True)
    def log(self, request: Request, pk: str) -> Response:
        """Read the log of an execution from a position on."""
        return log_answer(self.get_object().pk, request)

    @extend_schema(responses={(200, "text/plain"): OpenApiTypes.STR})
    @action(detail=True, url_path="log/download", renderer_classes=[TextRenderer, JSONRenderer])
    def download_log(self, request: Request, pk: str) -> StreamingHttpResponse:
        """Download the log of an execution as a text."""
        return log_download(self.get_object())
