"""How instances, executions and edges are shown over the API (I2, I11, I12)."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from instances.diagnosis import diagnose
from instances.models import Edge, Execution, Instance
from instances.runners.error_codes import explain
from instances.states import State
from projects import clock


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
    duration = serializers.SerializerMethodField(help_text="Seconds, so far or in all.")
    resource_group = serializers.CharField(source="resource_group.name")
    retries = serializers.SerializerMethodField()
    owners = serializers.SerializerMethodField()
    plan = serializers.SerializerMethodField(help_text="The backfill plan that made it.")
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

    @extend_schema_field(serializers.FloatField(allow_null=True))
    def get_duration(self, instance: Instance) -> float | None:
        return seconds_between(instance.started_at, instance.ended_at)

    @extend_schema_field(RetriesAnswer)
    def get_retries(self, instance: Instance) -> dict[str, int]:
        return {"count": instance.retry_count, "limit": instance.retry_limit}

    def get_owners(self, instance: Instance) -> list[str]:
        return [user.get_username() for user in instance.task.owners.all()]

    @extend_schema_field(serializers.IntegerField(allow_null=True))
    def get_plan(self, instance: Instance) -> int | None:
        # Plans stand above instances: read through the relation, without knowing the model.
        plan = getattr(instance.batch, "plan", None)
        return plan.pk if plan is not None else None


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

    reason = serializers.CharField()
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
    """The other end of an edge. Of a project that you do not see there is the task's id alone."""

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
    removed = serializers.BooleanField(help_text="It blocks no more.")
    neighbour = NeighbourAnswer()


def edge_answer(edge: Edge, *, upstream: bool, seen: set[int]) -> dict[str, Any]:
    """Return an edge as seen from one of its ends; `seen` are the projects of the user."""
    if upstream:
        task, instance, at = edge.upstream_task, edge.upstream, edge.upstream_scheduled_at
    else:
        task, instance, at = edge.instance.task, edge.instance, edge.instance.scheduled_at
    visible = task.project_id in seen
    return {
        "id": edge.pk,
        "within_batch": edge.within_batch,
        "removed": edge.removed_at is not None,
        "neighbour": {
            "visible": visible,
            "task": task.pk,
            "name": task.name if visible else "",
            "workflow": task.workflow.name if visible else "",
            "project": task.project_id if visible else None,
            "scheduled_at": at if visible else None,
            "instance": instance.pk if visible and instance else None,
            "state": instance.state if visible and instance else "",
        },
    }
