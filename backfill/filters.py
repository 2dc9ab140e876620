"""The filters of backfill plans (B21)."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, Q, QuerySet
from django_filters import CharFilter, DateFilter

from backfill.models import Plan, PlanTask
from backfill.models.shown import with_states
from backfill.states import PlanResult, PlanState
from instances.models import Instance
from instances.states import State
from projects.access import projects_with
from projects.filters import UsersFilter
from projects.ground.filter_fields import (
    ISO_DATE,
    CheckedFilterSet,
    ChoicesFilter,
    IdsFilter,
    InstantFilter,
    SearchFilter,
)


class PlanFilter(CheckedFilterSet):
    """Plans by name, tasks, author, time and state."""

    search = SearchFilter(texts=["name"])
    id = IdsFilter()
    project = IdsFilter()
    task = IdsFilter(method="filter_task")
    task_name = CharFilter(method="filter_task_name", help_text="Part of a task's name.")
    state = ChoicesFilter(choices=PlanState.choices, method="filter_state")
    result = ChoicesFilter(choices=PlanResult.choices, method="filter_result")
    instance_state = ChoicesFilter(choices=State.choices, method="filter_instance_state")
    created_by = UsersFilter(field_name="created_by__username")
    created_from = InstantFilter(field_name="created_at", lookup_expr="gte")
    created_until = InstantFilter(field_name="created_at", lookup_expr="lt")
    data_date_from = DateFilter(
        field_name="last_data_date", lookup_expr="gte", input_formats=[ISO_DATE]
    )
    data_date_until = DateFilter(
        field_name="first_data_date", lookup_expr="lte", input_formats=[ISO_DATE]
    )

    class Meta:
        model = Plan
        fields: list[str] = []

    def filter_task(self, queryset: QuerySet, name: str, value: list[int]) -> QuerySet:
        """Keep the submitted plans that run one of the tasks."""
        return queryset.filter(Exists(self._tasks(Q(task__in=value)))) if value else queryset

    def filter_task_name(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        """Keep the submitted plans that run a task with such a name, of those the user sees."""
        seen = projects_with(self.request.user if self.request else None)
        named = Q(task__name__icontains=value, task__project__in=seen)
        return queryset.filter(Exists(self._tasks(named))) if value else queryset

    def filter_state(self, queryset: QuerySet, name: str, value: list[str]) -> QuerySet:
        """Keep the plans in one of the states; a paused one is neither expanding nor running."""
        return with_states(queryset).filter(shown_state__in=value) if value else queryset

    def filter_result(self, queryset: QuerySet, name: str, value: list[str]) -> QuerySet:
        """Keep the plans of which one of these came."""
        return with_states(queryset).filter(result__in=value) if value else queryset

    def filter_instance_state(self, queryset: QuerySet, name: str, value: list[str]) -> QuerySet:
        """Keep the plans that have an instance in one of the states."""
        if not value:
            return queryset
        found = Instance.objects.filter(batch=OuterRef("batch"), state__in=value)
        return queryset.filter(Exists(found))

    def _tasks(self, condition: Q) -> QuerySet[PlanTask]:
        return PlanTask.objects.filter(condition, plan=OuterRef("pk"))
