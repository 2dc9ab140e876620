"""How instances, executions and edges are shown over the API (I2, I11, I12)."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from instances.error_codes.explanations import explain
from instances.holds.listed import REASONS
from instances.models import Execution, Instance, RemovedBecause
from instances.reading.diagnosis import diagnose
from instances.states import State
from projects.ground import clock


class Named(serializers.Serializer):
    """An object by id and name."""

    id = serializers.IntegerField()
    name = serializers.CharField()


class DiagnosisAnswer(serializers.Serializer):
    """What a failure means and what to do about it."""

    code = serializers.CharField()
    message = serializers.CharField()
    title = serializers.CharField()
    explanation = serializers.CharField()
    likely_cause = serializers.CharField()
    what_to_do = serializers.CharField()


class RetriesAnswer(serializers.Serializer):
    """Retries of the present round, and how many there may be."""

    count = serializers.IntegerField()
    limit = serializers.IntegerField()


def seconds_between(started: datetime | None, ended: datetime | None) -> float | None:
    """Return how long something took, or has taken so far."""
    if started is None:
        return None
    return round(((ended or clock.now()) - started).total_seconds(), 3)


class SettledAnswer(serializers.Serializer):
    """Who said that an instance is a success, when and why."""

    at = serializers.DateTimeField(source="settled_at")
    by = serializers.CharField(source="settled_by.username", default=None, allow_null=True)
    reason = serializers.CharField(source="settled_because")


class InstanceAnswer(serializers.ModelSerializer):
    """An instance."""

    task = Named()
    workflow = Named(source="task.workflow")
    project = Named()
    folder = serializers.CharField(source="task.workflow.folder.path", default="")
    type = serializers.CharField(source="version.type")
    cycle = serializers.CharField(source="version.cycle")
    version = serializers.IntegerField(source="version.number")
    state_display = serializers.SerializerMethodField()
    diagnosis = serializers.SerializerMethodField()
    data_time = serializers.SerializerMethodField(help_text="Local: YYYY-MM-DD HH:MM:SS.")
    scheduled_at = serializers.SerializerMethodField(help_text="With the task's offset.")
    time_zone = serializers.CharField(source="version.time_zone")
    settled = serializers.SerializerMethodField(help_text="Null: by its own run, or not yet.")
    duration = serializers.SerializerMethodField(help_text="Seconds, so far or in all.")
    resource_group = serializers.CharField(source="resource_group.name")
    retries = serializers.SerializerMethodField()
    owners = serializers.SerializerMethodField()
    plan = serializers.IntegerField(
        source="plan_id", allow_null=True, help_text="The backfill plan that made it."
    )
    parameters = serializers.DictField(help_text="What replaces the task's own.")

    class Meta:
        model = Instance
        fields = [
            "id",
            "task",
            "workflow",
            "folder",
            "project",
            "type",
            "cycle",
            "version",
            "kind",
            "state",
            "state_display",
            "marked",
            "settled",
            "error_code",
            "diagnosis",
            "data_time",
            "scheduled_at",
            "time_zone",
            "not_before",
            "waiting_since",
            "ready_at",
            "started_at",
            "ended_at",
            "duration",
            "resource_group",
            "retries",
            "total_runs",
            "priority",
            "dry",
            "batch",
            "plan",
            "owners",
            "parameters",
            "created_at",
        ]

    def get_state_display(self, instance: Instance) -> str:
        return State(instance.state).label

    @extend_schema_field(DiagnosisAnswer(allow_null=True))
    def get_diagnosis(self, instance: Instance) -> dict[str, Any] | None:
        found = diagnose(instance)
        return DiagnosisAnswer(found).data if found else None

    def get_data_time(self, instance: Instance) -> str:
        return f"{instance.data_date:%Y-%m-%d} {instance.local_time:%H:%M:%S}"

    @extend_schema_field(serializers.DateTimeField())
    def get_scheduled_at(self, instance: Instance) -> str:
        zone = ZoneInfo(instance.version.time_zone)
        return instance.scheduled_at.astimezone(zone).isoformat()

    @extend_schema_field(SettledAnswer(allow_null=True))
    def get_settled(self, instance: Instance) -> dict[str, Any] | None:
        return SettledAnswer(instance).data if instance.settled_at else None

    @extend_schema_field(serializers.FloatField(allow_null=True))
    def get_duration(self, instance: Instance) -> float | None:
        return seconds_between(instance.started_at, instance.ended_at)

    @extend_schema_field(RetriesAnswer)
    def get_retries(self, instance: Instance) -> dict[str, int]:
        return {"count": instance.retry_count, "limit": instance.retry_limit}

    def get_owners(self, instance: Instance) -> list[str]:
        return [user.get_username() for user in instance.task.owners.all()]


class ExecutionAnswer(serializers.ModelSerializer):
    """One attempt at running an instance, with its three phases."""

    resource_group = serializers.CharField(source="resource_group.name")
    duration = serializers.SerializerMethodField(help_text="Seconds, so far or in all.")
    diagnosis = serializers.SerializerMethodField()

    class Meta:
        model = Execution
        fields = [
            "id",
            "instance",
            "number",
            "cause",
            "state",
            "resource_group",
            "worker",
            "waiting_since",
            "ready_at",
            "dispatched_at",
            "started_at",
            "ended_at",
            "duration",
            "exit_code",
            "error_code",
            "diagnosis",
            "log_bytes",
        ]

    @extend_schema_field(serializers.FloatField(allow_null=True))
    def get_duration(self, execution: Execution) -> float | None:
        return seconds_between(execution.started_at, execution.ended_at)

    @extend_schema_field(DiagnosisAnswer(allow_null=True))
    def get_diagnosis(self, execution: Execution) -> dict[str, Any] | None:
        if not execution.error_code:
            return None
        found = explain(execution.error_code)
        return {
            "code": execution.error_code,
            "message": execution.error_message,
            "title": found.title,
            "explanation": found.explanation,
            "likely_cause": found.likely_cause,
            "what_to_do": found.what_to_do,
        }


class ExecutionDetail(ExecutionAnswer):
    """An execution with its code as executed."""

    parameters = serializers.DictField()

    class Meta(ExecutionAnswer.Meta):
        fields = [*ExecutionAnswer.Meta.fields, "code", "parameters"]


class LogAnswer(serializers.Serializer):
    """A piece of a log. Ask again from `next_position` until `finished`."""

    execution = serializers.IntegerField(allow_null=True)
    text = serializers.CharField()
    next_position = serializers.IntegerField()
    finished = serializers.BooleanField()


class BlockerAnswer(serializers.Serializer):
    """One thing that holds an instance back."""

    reason = serializers.ChoiceField(REASONS)
    text = serializers.CharField()
    instance = serializers.IntegerField(source="instance_id", allow_null=True)
    task = serializers.IntegerField(source="task_id", allow_null=True)
    project = serializers.IntegerField(source="project_id", allow_null=True)
    scheduled_at = serializers.DateTimeField(allow_null=True)
    state = serializers.CharField(help_text="The upstream instance's.")


class WaitingAnswer(serializers.Serializer):
    """What holds an instance back; no blockers: nothing does."""

    state = serializers.ChoiceField(State.choices)
    blockers = BlockerAnswer(many=True)


class CountsAnswer(serializers.Serializer):
    """How many instances are in which state."""

    total = serializers.IntegerField()
    states = serializers.DictField(child=serializers.IntegerField())


class NeighbourAnswer(serializers.Serializer):
    """The other end of an edge. Of a project that you do not see there is the task's id alone.

    What waits in such a project is one edge for each task, however many instances there are.
    """

    visible = serializers.BooleanField()
    task = serializers.IntegerField()
    name = serializers.CharField()
    workflow = serializers.CharField()
    project = serializers.IntegerField(allow_null=True)
    scheduled_at = serializers.DateTimeField(allow_null=True)
    instance = serializers.IntegerField(allow_null=True, help_text="Null: it does not exist yet.")
    state = serializers.CharField()


class EdgeAnswer(serializers.Serializer):
    """An instance waits for another."""

    id = serializers.IntegerField()
    within_batch = serializers.BooleanField()
    removed = serializers.BooleanField(
        allow_null=True, help_text="It blocks no more. Null: that is the other project's to know."
    )
    removed_because = serializers.ChoiceField(
        choices=RemovedBecause.choices,
        allow_blank=True,
        help_text="Why the engine removed it; empty when an operator did.",
    )
    neighbour = NeighbourAnswer()


def edge_answer(neighbour: dict[str, Any]) -> dict[str, Any]:
    """Return an edge as seen from one of its ends."""
    own = ("id", "within_batch", "removed", "removed_because")
    return {
        **{name: neighbour[name] for name in own},
        "neighbour": {name: value for name, value in neighbour.items() if name not in own},
    }
