"""How plans, their previews and what became of them are shown over the API (B16, B21, B22)."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from backfill.models import Plan
from backfill.reading.day_progress import DayProgress, DayState
from backfill.reading.progress import Progress
from backfill.spec import options
from backfill.states import PlanResult, PlanState, SkipReason
from backfill.verbs.revisions import revision_of
from instances.states import State
from projects.ground.fields.openapi import object_schema
from projects.rest.fields import DeclaredField, Refer
from workflows.api.answers import REVISION_HELP


class SpecField(DeclaredField):
    """What to run."""

    def schema(self, refer: Refer) -> dict[str, Any]:
        return refer("PlanSpec", object_schema(options(), description="What a plan runs."))


class ProgressAnswer(serializers.Serializer):
    """How far a plan, or a task of it, has come."""

    total = serializers.IntegerField(help_text="Instances, those still to be made included.")
    finished = serializers.IntegerField()
    succeeded = serializers.IntegerField()
    by_state = serializers.DictField(child=serializers.IntegerField())
    completion_rate = serializers.FloatField(help_text="From 0 to 1.")
    success_rate = serializers.FloatField(help_text="From 0 to 1.")


class PlanAnswer(serializers.ModelSerializer):
    """A backfill plan."""

    spec = SpecField()
    state = serializers.SerializerMethodField()
    result = serializers.SerializerMethodField()
    created_by = serializers.CharField(source="created_by.username", default=None, allow_null=True)
    cells = serializers.IntegerField(
        source="planned_count", help_text="Planned: instances and skips together."
    )
    expanded = serializers.IntegerField(
        source="expanded_count", help_text="Cells of which the instance or skip is made."
    )
    progress = serializers.SerializerMethodField()
    started_at = serializers.SerializerMethodField(help_text="When its first instance started.")
    ended_at = serializers.SerializerMethodField(help_text="When its last instance ended.")
    revision = serializers.SerializerMethodField(help_text=REVISION_HELP)

    class Meta:
        model = Plan
        fields = [
            "id",
            "project",
            "name",
            "description",
            "state",
            "result",
            "spec",
            "batch",
            "task_count",
            "cells",
            "expanded",
            "first_data_date",
            "last_data_date",
            "progress",
            "created_by",
            "created_at",
            "submitted_at",
            "started_at",
            "ended_at",
            "revision",
        ]

    def get_revision(self, plan: Plan) -> str:
        return revision_of(plan)

    @extend_schema_field(serializers.ChoiceField(choices=PlanState.choices))
    def get_state(self, plan: Plan) -> str:
        return self._progress(plan).state.value

    @extend_schema_field(serializers.ChoiceField(choices=PlanResult.choices))
    def get_result(self, plan: Plan) -> str:
        return self._progress(plan).result.value

    @extend_schema_field(ProgressAnswer)
    def get_progress(self, plan: Plan) -> dict[str, Any]:
        return progress_answer(self._progress(plan))

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_started_at(self, plan: Plan) -> Any:
        return self._progress(plan).started_at

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_ended_at(self, plan: Plan) -> Any:
        return self._progress(plan).ended_at

    def _progress(self, plan: Plan) -> Progress:
        found: Progress = self.context["progress"][plan.pk]
        return found


class DayAnswer(serializers.Serializer):
    """What is planned on a local day."""

    planned_date = serializers.DateField()
    data_date = serializers.DateField()
    instances = serializers.IntegerField()
    skipped = serializers.IntegerField()
    lane = serializers.IntegerField(
        allow_null=True, help_text="Its group, when the plan runs day by day."
    )


class LaneAnswer(serializers.Serializer):
    """Dates that run one after the other, from the first to the last."""

    number = serializers.IntegerField()
    first_data_date = serializers.DateField()
    last_data_date = serializers.DateField()
    days = serializers.IntegerField()
    instances = serializers.IntegerField()


class TaskLineAnswer(serializers.Serializer):
    """A task of a plan that is previewed."""

    id = serializers.IntegerField()
    label = serializers.CharField()  # type: ignore[assignment]
    project = serializers.IntegerField(source="project_id")
    status = serializers.CharField()
    cycle = serializers.CharField()
    level = serializers.IntegerField()
    instances = serializers.IntegerField()
    skipped = serializers.IntegerField()


class CellLineAnswer(serializers.Serializer):
    """An instance that would be made."""

    task = serializers.IntegerField(source="task_id")
    label = serializers.CharField()  # type: ignore[assignment]
    scheduled_at = serializers.DateTimeField()
    data_date = serializers.DateField()
    not_before = serializers.DateTimeField()


class ChoiceAnswer(serializers.Serializer):
    """A downstream task that may be chosen."""

    id = serializers.IntegerField()
    label = serializers.CharField()  # type: ignore[assignment]
    chosen = serializers.BooleanField()


class WarningAnswer(serializers.Serializer):
    """Something to know before submitting."""

    code = serializers.CharField()
    message = serializers.CharField()
    tasks = serializers.ListField(child=serializers.IntegerField(), source="task_ids")


class PreviewAnswer(serializers.Serializer):
    """What a plan would do: cells = instances + skipped ones."""

    first_data_date = serializers.DateField()
    last_data_date = serializers.DateField()
    task_count = serializers.IntegerField()
    cell_count = serializers.IntegerField()
    instance_count = serializers.IntegerField()
    dry_count = serializers.IntegerField()
    skipped = serializers.DictField(
        child=serializers.IntegerField(), help_text="Skipped cells by reason."
    )
    level_count = serializers.IntegerField(help_text="Tasks of the longest chain.")
    days = DayAnswer(many=True)
    lanes = LaneAnswer(
        many=True, help_text="The groups of a plan that runs day by day, side by side."
    )
    tasks = TaskLineAnswer(many=True)
    first_cells = CellLineAnswer(many=True, help_text="In the expected order of their start.")
    downstream = ChoiceAnswer(many=True)
    warnings = WarningAnswer(many=True)


class PlanTaskAnswer(serializers.Serializer):
    """A task of a submitted plan. Of a project that you do not see there is the id alone."""

    visible = serializers.BooleanField()
    task = serializers.IntegerField()
    name = serializers.CharField()
    workflow = serializers.CharField()
    project = serializers.IntegerField(allow_null=True)
    owners = serializers.ListField(child=serializers.CharField())
    cycle = serializers.CharField()
    version = serializers.IntegerField(allow_null=True)
    position = serializers.IntegerField()
    cells = serializers.IntegerField(allow_null=True)
    dry = serializers.BooleanField(allow_null=True)
    state = serializers.ChoiceField(choices=PlanState.choices, allow_null=True)
    result = serializers.ChoiceField(choices=PlanResult.choices, allow_null=True)
    progress = ProgressAnswer(allow_null=True)
    started_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)


class PlanDayAnswer(serializers.Serializer):
    """A day of a plan that runs day by day. It opens when the one before it in its lane is done."""

    lane = serializers.IntegerField()
    position = serializers.IntegerField(help_text="Its place in the lane, from 0 on.")
    planned_date = serializers.DateField()
    data_date = serializers.DateField()
    state = serializers.ChoiceField(choices=DayState.choices)
    instances = serializers.IntegerField(source="total", help_text="As many as are made.")
    left = serializers.IntegerField(help_text="Instances that are other than SUCCESS.")
    by_state = serializers.SerializerMethodField()
    opened_at = serializers.DateTimeField(allow_null=True)

    @extend_schema_field(serializers.DictField(child=serializers.IntegerField()))
    def get_by_state(self, day: DayProgress) -> dict[str, int]:
        return {state.value: count for state, count in day.by_state.items()}


class CellAnswer(serializers.Serializer):
    """A cell of a plan: an instance, or a skip with its reason."""

    task = serializers.IntegerField()
    name = serializers.CharField()
    scheduled_at = serializers.DateTimeField(help_text="With the task's offset.")
    data_date = serializers.DateField()
    instance = serializers.IntegerField(allow_null=True)
    state = serializers.ChoiceField(choices=State.choices, allow_null=True)
    skip = serializers.ChoiceField(choices=SkipReason.choices, allow_null=True)


def progress_answer(progress: Progress) -> dict[str, Any]:
    """Return the figures of a plan or task."""
    return {
        "total": progress.total,
        "finished": progress.finished,
        "succeeded": progress.succeeded,
        "by_state": {state.value: count for state, count in progress.by_state.items()},
        "completion_rate": round(progress.completion_rate, 6),
        "success_rate": round(progress.success_rate, 6),
    }
