"""The operation record over the API: read only, newest first (P3)."""

from __future__ import annotations

from django.db.models import Q, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from projects.access import projects_with
from projects.api.keyset import LongPagination
from projects.api.scoped import ListRead
from projects.filters import OperationFilter
from projects.models import Operation, OperationObject


class OperationAnswer(serializers.ModelSerializer):
    """Who did what, when, with which options."""

    actor = serializers.CharField(
        source="actor.username", default=None, allow_null=True, help_text="Null: the system."
    )
    options = serializers.DictField()

    class Meta:
        model = Operation
        fields = [
            "id",
            "actor",
            "project",
            "verb",
            "options",
            "succeeded",
            "refused",
            "created_at",
        ]


class OperationObjectAnswer(serializers.ModelSerializer):
    """One object of an operation, and what became of it."""

    class Meta:
        model = OperationObject
        fields = ["id", "object_type", "object_id", "label", "ok", "code", "detail"]


class OperationViewSet(ListRead):
    """The operations in the user's projects, and the user's own across projects."""

    noun, nouns = "operation", "operations"
    queryset = Operation.objects.all()
    serializer_class = OperationAnswer
    filterset_class = OperationFilter
    pagination_class = LongPagination

    def get_queryset(self) -> QuerySet[Operation]:
        rows = Operation.objects.select_related("actor")
        user = self.request.user
        if user.is_superuser:
            return rows
        own = Q(project=None, actor=user.pk)
        return rows.filter(Q(project__in=projects_with(user)) | own)

    @extend_schema(responses=OperationObjectAnswer(many=True), filters=False)
    @action(detail=True, filterset_class=None)
    def objects(self, request: Request, pk: str) -> Response:
        """List the objects of an operation."""
        rows = OperationObject.objects.filter(operation=self.get_object()).order_by("id")
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(OperationObjectAnswer(page, many=True).data)
