"""The filters of backfill plans (B21)."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, Q, QuerySet
from django_filters import CharFilter, DateFilter, FilterSet, IsoDateTimeFilter

from backfill.models import Plan, PlanTask
from backfill.states import ACTIVE, PlanState
from instances.models import Instance
from instances.states import State
from projects.filter_fields import ChoicesFilter, IdsFilter, NamesFilter, SearchFilter


class PlanFilter(FilterSet):
    """Plans by name, tasks, author, time and state."""

    search = SearchFilter(texts=["name"])
    id = IdsFilter()
    project = IdsFilter()
    task = IdsFilter(method="filter_task")
    task_name = CharFilter(method="filter_task_name", help_text="Part of a task's name.")
    state = ChoicesFilter(choices=PlanState.choices, method="filter_state")
    instance_state = ChoicesFilter(choices=State.choices, method="filter_instance_state")
    created_by = NamesFilter(field_name="created_by__username", help_text="User names.")
    created_from = IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    created_until = IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")
    data_date_from = DateFilter(field_name="last_data_date", lookup_expr="gte")
    data_date_until = DateFilter(field_name="first_data_date", lookup_expr="lte")

    class Meta:
        model = Plan
        fields: list[str] = []

    def filter_task(self, queryset: QuerySet, name: str, value: list[int]) -> QuerySet:
        """Keep the submitted plans that run one of the tasks."""
        return queryset.filter(Exists(self._tasks(Q(task__in=value)))) if value else queryset

    def filter_task_name(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        """Keep the submitted plans that run a task with such a name."""
        return queryset.filter(Exists(self._tasks(Q(task__name__icontains=value))))

    def filter_state(self, queryset: QuerySet, name: str, value: list[str]) -> QuerySet:
        """Keep the plans in one of the states; a paused one is neither expanding nor running."""
        if not value:
            return queryset
        paused = Q(state__in=ACTIVE, batch__paused_at__isnull=False)
        kept = Q(state__in=value) & ~paused
        return queryset.filter(kept | paused if PlanState.PAUSED in value else kept)

    def filter_instance_state(self, queryset: QuerySet, name: str, value: list[str]) -> QuerySet:
        """Keep the plans that have an instance in one of the states."""
        if not value:
            return queryset
        found = Instance.objects.filter(batch=OuterRef("batch"), state__in=value)
        return queryset.filter(Exists(found))

    def _tasks(self, condition: Q) -> QuerySet[PlanTask]:
        return PlanTask.objects.filter(condition, plan=OuterRef("pk"))
