"""The filters of instances and executions, for the API, the admin and bulk selection (I3)."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any

from django import forms
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _
from django_filters import Filter
from drf_spectacular.utils import extend_schema_field

from instances.error_codes import ErrorCode
from instances.models import Batch, Execution, Instance
from instances.models.instance import LISTED
from instances.states import Cause, ExecutionState, Kind, State
from projects.filters import GroupsFilter, UsersFilter
from projects.ground.counterparts import ids_with
from projects.ground.filter_fields import (
    CheckedFilterSet,
    ChoicesFilter,
    FlagFilter,
    IdsFilter,
    InstantFilter,
    NamesFilter,
    SearchFilter,
)
from workflows.choices import CYCLE_CHOICES, Priority
from workflows.filters import FolderTreeFilterSet, TypesFilter, owned_by
from workflows.models import Task

_DATE_LENGTH = len("2026-01-31")


class DataTimeField(forms.CharField):
    """A local time without a zone; a date alone is its first second, or its last one."""

    def __init__(self, *, end_of_day: bool = False, **kwargs: Any) -> None:
        super().__init__(max_length=32, **kwargs)
        self.end_of_day = end_of_day

    def clean(self, value: Any) -> datetime | None:
        text = super().clean(value)
        if not text:
            return None
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is not None:
            raise forms.ValidationError(_("Must be a local time such as 2026-01-31 or …T05:00:00."))
        if self.end_of_day and len(text) == _DATE_LENGTH:
            return datetime.combine(moment.date(), time.max)
        return moment


@extend_schema_field({"type": "string", "example": "2026-01-31T05:00:00"})
class DataTimeFilter(Filter):
    """Rows whose data time is not before, or not after, a local time."""

    field_class = DataTimeField

    def __init__(self, *, latest: bool = False, **kwargs: Any) -> None:
        super().__init__(end_of_day=latest, **kwargs)
        self.direction = "lt" if latest else "gt"

    def filter(self, qs: QuerySet, value: datetime | None) -> QuerySet:
        if value is None:
            return qs
        beyond = Q(**{f"data_date__{self.direction}": value.date()})
        same_day = Q(**{"data_date": value.date(), f"local_time__{self.direction}e": value.time()})
        return qs.filter(beyond | same_day, **{f"data_date__{self.direction}e": value.date()})


class InstanceFilter(FolderTreeFilterSet):
    """Instances by what they are, when they are due, how they stand and whose they are."""

    search = SearchFilter(texts=["task__name"], ids=["id", "task"])
    id = IdsFilter()
    project = IdsFilter()
    workflow = IdsFilter(field_name="task__workflow")
    task = IdsFilter()
    type = TypesFilter(field_name="version__type")
    cycle = ChoicesFilter(field_name="version__cycle", choices=CYCLE_CHOICES)
    kind = ChoicesFilter(choices=Kind.choices)
    state = ChoicesFilter(choices=State.choices, method="filter_state")
    error_code = NamesFilter(noun="error code", known=lambda user, names: list(ErrorCode))
    resource_group = GroupsFilter()
    priority = ChoicesFilter(choices=Priority.choices)
    owner = UsersFilter(method="filter_owner")
    batch = IdsFilter()
    plan = IdsFilter(method="filter_plan", help_text="Backfill plans.")
    dry = FlagFilter()
    settled = FlagFilter(method="filter_settled", help_text="Whether somebody marked it success.")
    settled_by = UsersFilter(field_name="settled_by__username")
    data_time_from = DataTimeFilter()
    data_time_until = DataTimeFilter(latest=True, help_text="Included; a date with all its day.")
    scheduled_from = InstantFilter(field_name="scheduled_at", lookup_expr="gte")
    scheduled_until = InstantFilter(field_name="scheduled_at", lookup_expr="lt")
    started_from = InstantFilter(field_name="started_at", lookup_expr="gte")
    started_until = InstantFilter(field_name="started_at", lookup_expr="lt")
    ended_from = InstantFilter(field_name="ended_at", lookup_expr="gte")
    ended_until = InstantFilter(field_name="ended_at", lookup_expr="lt")

    path_to_workflow = "task__workflow__"

    class Meta:
        model = Instance
        fields: list[str] = []

    def filter_state(
        self, queryset: QuerySet[Instance], name: str, value: list[str]
    ) -> QuerySet[Instance]:
        return queryset.filter(LISTED, state__in=value) if value else queryset

    def filter_plan(
        self, queryset: QuerySet[Instance], name: str, value: list[int]
    ) -> QuerySet[Instance]:
        return queryset.filter(batch__in=ids_with(Batch, value)) if value else queryset

    def filter_owner(
        self, queryset: QuerySet[Instance], name: str, value: list[str]
    ) -> QuerySet[Instance]:
        return queryset.filter(owned_by(value, Task, path="task"))

    def filter_settled(
        self, queryset: QuerySet[Instance], name: str, value: bool
    ) -> QuerySet[Instance]:
        return queryset.filter(settled_at__isnull=not value)


class ExecutionFilter(CheckedFilterSet):
    """Executions by their instance, task, outcome and time."""

    project = IdsFilter(field_name="instance__project")
    task = IdsFilter(field_name="instance__task")
    instance = IdsFilter()
    state = ChoicesFilter(choices=ExecutionState.choices)
    cause = ChoicesFilter(choices=Cause.choices)
    error_code = NamesFilter(noun="error code", known=lambda user, names: list(ErrorCode))
    resource_group = GroupsFilter()
    # There is no list of workers: one that is gone is found as long as what it ran is kept.
    worker = NamesFilter(noun="worker", known=lambda user, names: (), help_text="Exact names.")
    started_from = InstantFilter(field_name="started_at", lookup_expr="gte")
    started_until = InstantFilter(field_name="started_at", lookup_expr="lt")

    class Meta:
        model = Execution
        fields: list[str] = []
