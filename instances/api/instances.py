"""Instances over the API: lists, why they wait, and the operations on them (I2 to I8, I10)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Count, Prefetch, QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from instances.api.answers import (
    CountsAnswer,
    EdgeAnswer,
    ExecutionAnswer,
    InstanceAnswer,
    LogAnswer,
    WaitingAnswer,
    edge_answer,
)
from instances.api.logs import log_answer
from instances.filters import InstanceFilter
from instances.models import Edge, Execution, Instance
from instances.operations.freezing import freeze, unfreeze
from instances.operations.marking import mark_success
from instances.operations.removing import remove_dependencies
from instances.operations.rerunning import rerun
from instances.operations.terminating import terminate
from instances.states import State
from instances.waiting import why_waiting
from projects import clock
from projects.access import projects_with
from projects.api.batch import BatchAnswer, BatchBody, batch_answer, chosen_ids, raise_refusal
from projects.api.fields import Body, FlagField, IdField
from projects.api.keyset import LongPagination
from projects.api.scoped import ListRead
from projects.operations import BatchResult

Verb = Callable[..., BatchResult]
# What InstanceAnswer reads: a page has hundreds of rows with eight others each.
SHOWN = [
    *(field.name for field in Instance._meta.concrete_fields),
    "project__name",
    "task__name",
    "task__workflow__name",
    "task__workflow__folder__path",
    "version__type",
    "version__cycle",
    "version__number",
    "version__time_zone",
    "resource_group__name",
    "batch__plan__batch",
]
POSITION = OpenApiParameter("position", int, description="`next_position` of the page before.")


class RemovalBody(Body):
    """Which dependencies to remove: there is no way back, so "all" has to be said."""

    edges = serializers.ListField(
        child=IdField(), required=False, allow_empty=False, help_text="Ids of upstream edges."
    )
    all = FlagField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("edges" in attrs) == attrs.get("all", False):
            raise serializers.ValidationError({"edges": ['Give either edges or "all": true.']})
        return attrs


class InstanceViewSet(ListRead):
    """The instances of the user's projects."""

    noun, nouns = "instance", "instances"
    queryset = Instance.objects.all()
    serializer_class = InstanceAnswer
    filterset_class = InstanceFilter
    pagination_class = LongPagination
    ordering_fields = {
        "id": ("id",),
        "scheduled_at": ("scheduled_at",),
        "data_time": ("data_date", "local_time"),
        "task": ("task__name",),
        "state": ("state",),
        "priority": ("priority",),
        "started_at": ("started_at",),
        "ended_at": ("ended_at",),
    }
    ordering = "-scheduled_at"

    def shown(self, rows: QuerySet[Instance]) -> QuerySet[Instance]:
        users = get_user_model().objects.only("username").order_by("username")
        return (
            rows.select_related(
                "project", "task__workflow__folder", "version", "resource_group", "batch__plan"
            )
            .only(*SHOWN)
            .prefetch_related(Prefetch("task__owners", users))
        )

    @extend_schema(responses=CountsAnswer, filters=True)
    @action(detail=False)
    def counts(self, request: Request) -> Response:
        """Count the instances of a list by state."""
        rows = self.filter_queryset(self.get_queryset()).order_by()
        found = dict(rows.values_list("state").annotate(number=Count("pk")))
        states = {state.value: found.get(state.value, 0) for state in State}
        return Response({"total": sum(states.values()), "states": states})

    @extend_schema(responses=ExecutionAnswer(many=True), filters=False)
    @action(detail=True)
    def executions(self, request: Request, pk: str) -> Response:
        """List the executions of an instance, the last one first."""
        instance = self.find(self.get_queryset())
        rows = Execution.objects.filter(instance=instance).defer("code", "parameters")
        page = self.paginate_queryset(rows.select_related("resource_group").order_by("-id"))
        return self.get_paginated_response(ExecutionAnswer(page, many=True).data)

    @extend_schema(responses=LogAnswer, parameters=[POSITION])
    @action(detail=True)
    def log(self, request: Request, pk: str) -> Response:
        """Read the log of the last execution from a position on."""
        executions = Execution.objects.filter(instance=self.find(self.get_queryset())).order_by(
            "-number"
        )
        return log_answer(executions.values_list("pk", flat=True).first(), request)

    @extend_schema(responses=WaitingAnswer)
    @action(detail=True)
    def waiting(self, request: Request, pk: str) -> Response:
        """Say why an instance waits."""
        instance = self.get_object()
        blockers = why_waiting(instance, actor=request.user, now=clock.now())
        return Response(WaitingAnswer({"state": instance.state, "blockers": blockers}).data)

    @extend_schema(
        responses=EdgeAnswer(many=True),
        filters=False,
        parameters=[OpenApiParameter("direction", str, enum=["upstream", "downstream"])],
    )
    @action(detail=True)
    def edges(self, request: Request, pk: str) -> Response:
        """List what an instance waits for (upstream), or what waits for it (downstream)."""
        instance = self.find(self.get_queryset())
        direction = request.query_params.get("direction", "upstream")
        if direction not in ("upstream", "downstream"):
            raise ValidationError({"direction": ["Must be upstream or downstream."]})
        upstream = direction == "upstream"
        rows = Edge.objects.order_by("id")
        if upstream:
            rows = rows.filter(instance=instance)
            rows = rows.select_related("upstream", "upstream_task__workflow")
        else:
            rows = rows.filter(upstream=instance)
            rows = rows.select_related("instance__task__workflow")
        page = self.paginate_queryset(rows) or []
        seen = set(projects_with(request.user).values_list("pk", flat=True))
        answers = [edge_answer(edge, upstream=upstream, seen=seen) for edge in page]
        return self.get_paginated_response(answers)

    @extend_schema(request=None, responses=InstanceAnswer)
    @action(detail=True, methods=["post"])
    def terminate(self, request: Request, pk: str) -> Response:
        """Terminate an instance."""
        return self.operate(terminate)

    @extend_schema(request=None, responses=InstanceAnswer)
    @action(detail=True, methods=["post"])
    def rerun(self, request: Request, pk: str) -> Response:
        """Run an instance again."""
        return self.operate(rerun)

    @extend_schema(request=None, responses=InstanceAnswer)
    @action(detail=True, methods=["post"], url_path="mark-success")
    def mark_success(self, request: Request, pk: str) -> Response:
        """Mark an instance as successful; what waits for it goes on."""
        return self.operate(mark_success)

    @extend_schema(request=None, responses=InstanceAnswer)
    @action(detail=True, methods=["post"])
    def freeze(self, request: Request, pk: str) -> Response:
        """Set an instance aside: it is not scheduled and holds its downstream back."""
        return self.operate(freeze)

    @extend_schema(request=None, responses=InstanceAnswer)
    @action(detail=True, methods=["post"])
    def unfreeze(self, request: Request, pk: str) -> Response:
        """Take a frozen instance up again."""
        return self.operate(unfreeze)

    @extend_schema(request=RemovalBody, responses=InstanceAnswer)
    @action(detail=True, methods=["post"], url_path="remove-dependencies")
    def remove_dependencies(self, request: Request, pk: str) -> Response:
        """Remove upstream edges of an instance, for good: those named, or all of them."""
        edges = self.body(RemovalBody).get("edges")
        return self.operate(partial(remove_dependencies, edges=edges))

    @extend_schema(request=BatchBody, responses=BatchAnswer)
    @action(detail=False, methods=["post"], url_path="batch/freeze")
    def batch_freeze(self, request: Request) -> Response:
        """Set many instances aside."""
        return self.operate_many(freeze)

    @extend_schema(request=BatchBody, responses=BatchAnswer)
    @action(detail=False, methods=["post"], url_path="batch/unfreeze")
    def batch_unfreeze(self, request: Request) -> Response:
        """Take many frozen instances up again."""
        return self.operate_many(unfreeze)

    @extend_schema(request=BatchBody, responses=BatchAnswer)
    @action(detail=False, methods=["post"], url_path="batch/remove-dependencies")
    def batch_remove_dependencies(self, request: Request) -> Response:
        """Remove all upstream edges of many instances, for good."""
        return self.operate_many(remove_dependencies)

    @extend_schema(request=BatchBody, responses=BatchAnswer)
    @action(detail=False, methods=["post"], url_path="batch/terminate")
    def batch_terminate(self, request: Request) -> Response:
        """Terminate many instances."""
        return self.operate_many(terminate)

    @extend_schema(request=BatchBody, responses=BatchAnswer)
    @action(detail=False, methods=["post"], url_path="batch/rerun")
    def batch_rerun(self, request: Request) -> Response:
        """Run many instances again."""
        return self.operate_many(rerun)

    @extend_schema(request=BatchBody, responses=BatchAnswer)
    @action(detail=False, methods=["post"], url_path="batch/mark-success")
    def batch_mark_success(self, request: Request) -> Response:
        """Mark many instances as successful."""
        return self.operate_many(mark_success)

    def operate(self, verb: Verb) -> Response:
        """Do `verb` to the instance of the address and answer with it."""
        raise_refusal(verb(actor=self.request.user, ids=[self.pk]))
        return Response(self.shown_as([self.get_object()])[0])

    def operate_many(self, verb: Verb) -> Response:
        """Do `verb` to the instances of the body."""
        ids: Iterable[int] = chosen_ids(
            self.body(BatchBody),
            rows=self.get_queryset(),
            filterset_class=InstanceFilter,
            request=self.request,
        )
        return batch_answer(verb(actor=self.request.user, ids=ids))
