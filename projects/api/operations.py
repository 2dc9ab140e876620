"""The operation record over the API: read, newest first, and cancelled while it runs (P3, I10)."""

from __future__ import annotations

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from projects.filters import OperationFilter
from projects.ground import clock
from projects.models import Operation, OperationObject
from projects.rest.keyset import LongPagination
from projects.rest.scoped import ListRead
from projects.verbs.background import cancel
from projects.verbs.recording import seen_objects, seen_operations


class OperationAnswer(serializers.ModelSerializer):
    """Who did what, when, with which options."""

    actor = serializers.CharField(
        source="actor.username", default=None, allow_null=True, help_text="Null: the system."
    )
    options = serializers.DictField()
    total = serializers.IntegerField(source="seen_total", help_text="How many objects.")
    succeeded = serializers.IntegerField(source="seen_succeeded")
    refused = serializers.IntegerField(source="seen_refused")
    running = serializers.SerializerMethodField(help_text="In the background, just now.")
    seconds_left = serializers.SerializerMethodField(help_text="Null when nobody can tell yet.")

    class Meta:
        model = Operation
        fields = [
            "id",
            "actor",
            "project",
            "verb",
            "options",
            "total",
            "succeeded",
            "refused",
            "running",
            "seconds_left",
            "created_at",
            "ended_at",
            "cancelled_at",
        ]

    def get_running(self, operation: Operation) -> bool:
        return operation.ended_at is None

    def get_seconds_left(self, operation: Operation) -> float | None:
        left = operation.time_left(clock.now())
        return None if left is None else round(left.total_seconds(), 1)


class OperationObjectAnswer(serializers.ModelSerializer):
    """One object of an operation, and what became of it; `ok` is null before its turn."""

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

    def of_the_user(self, rows: QuerySet[Operation]) -> QuerySet[Operation]:
        return seen_operations(self.request.user).select_related("actor")

    @extend_schema(responses=OperationObjectAnswer(many=True), filters=False)
    @action(detail=True, filterset_class=None)
    def objects(self, request: Request, pk: str) -> Response:
        """List the objects of an operation."""
        rows = seen_objects(request.user, self.get_object()).order_by("id")
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(OperationObjectAnswer(page, many=True).data)

    @extend_schema(request=None, responses=OperationAnswer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Cancel an operation that runs in the background; what is done stays done."""
        operation = self.get_object()
        cancel(actor=request.user, operation_id=operation.pk)
        return self.answer(operation)
