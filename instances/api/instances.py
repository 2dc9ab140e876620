"""Instances over the API: lists, why they wait, and the operations on them (I2 to I8, I10)."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.db.models import Count, Prefetch, QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
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
from instances.models import Batch, Execution, Instance
from instances.reading.neighbours import downstream_edges, neighbours, upstream_edges
from instances.reading.waiting import why_waiting
from instances.states import State
from instances.verbs.noun import INSTANCES
from projects.access import sight
from projects.ground import clock
from projects.ground.counterparts import counterpart_id
from projects.rest.keyset import LongPagination
from projects.rest.scoped import ListRead
from projects.rest.verbs import with_verbs

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
    "settled_by__username",
]
POSITION = OpenApiParameter("position", int, description="`next_position` of the page before.")


@with_verbs(INSTANCES)
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
                "project",
                "task__workflow__folder",
                "version",
                "resource_group",
                "settled_by",
            )
            .only(*SHOWN)
            .annotate(plan_id=counterpart_id(Batch, "batch"))
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
            raise ValidationError({"direction": [_("Must be upstream or downstream.")]})
        upstream = direction == "upstream"
        rows = upstream_edges(instance) if upstream else downstream_edges(instance, request.user)
        page = self.paginate_queryset(rows.order_by("id")) or []
        found = neighbours(page, upstream=upstream, sight=sight(request.user))
        return self.get_paginated_response([edge_answer(one) for one in found])
