"""An instance: one piece of work on one slot."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from instances.models.batch import Batch
from instances.models.batch_day import BatchDay
from instances.states import Kind, State
from projects.models import Project, ResourceGroup
from workflows.choices import Priority
from workflows.models import Task, TaskVersion


class Instance(models.Model):
    """A task's work on the slot (task, scheduled_at). Only transitions.py writes its state."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="instances")
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="instances")
    version = models.ForeignKey(TaskVersion, on_delete=models.PROTECT, related_name="instances")
    batch = models.ForeignKey(
        Batch, null=True, blank=True, on_delete=models.CASCADE, related_name="instances"
    )
    # Its day, in a batch that runs day by day. Indexed below, where there is one.
    day = models.ForeignKey(
        BatchDay,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="instances",
        db_index=False,
    )
    # Made before its day was open, and not let go on since: nobody need look at its clock.
    awaits_day = models.BooleanField(default=False)
    kind = models.CharField(max_length=16, choices=Kind.choices)
    scheduled_at = models.DateTimeField(help_text="Planned time: the instant it is due.")
    data_date = models.DateField(help_text="The local date of its data: planned date minus one.")
    local_time = models.TimeField(help_text="The planned time's local time of day.")
    state = models.CharField(max_length=20, choices=State.choices, default=State.NOT_RUN)
    # Of a frozen instance: what it was before, with the timestamps and the error of that state.
    frozen_from = models.CharField(
        max_length=20, choices=State.choices, blank=True, db_default="", editable=False
    )
    error_code = models.CharField(max_length=64, blank=True)
    error_message = models.TextField(blank=True)

    dry = models.BooleanField(default=False, help_text="Succeeds at once without running.")
    # Dry and virtual instances succeed inside the engine and never travel to a worker.
    inline = models.BooleanField(default=False)
    resource_group = models.ForeignKey(
        ResourceGroup, on_delete=models.PROTECT, related_name="instances"
    )
    priority = models.PositiveSmallIntegerField(choices=Priority.choices, default=Priority.NORMAL)
    # The plan's order: ascending data dates count up, descending ones down. Smaller goes first.
    sort_key = models.IntegerField(default=0)
    retry_limit = models.PositiveIntegerField(default=0)
    retry_count = models.PositiveIntegerField(default=0)
    # Lost workers do not use up the task's retries; they have a limit of their own.
    lost_count = models.PositiveIntegerField(default=0)
    total_runs = models.PositiveIntegerField(default=0)
    parameters = models.JSONField(default=dict, blank=True)  # overrides the version's

    not_before = models.DateTimeField(help_text="Its clock: it may not start before.")
    waiting_since = models.DateTimeField(help_text="When its present round began to wait.")
    ready_at = models.DateTimeField(null=True, blank=True)
    dispatched_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-scheduled_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["task", "scheduled_at"],
                condition=Q(batch__isnull=True),
                name="periodic_instance_of_slot",
            ),
            models.UniqueConstraint(
                fields=["batch", "task", "scheduled_at"],
                condition=Q(batch__isnull=False),
                name="batch_instance_of_slot",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["SUCCESS", "FAILED"], ended_at__isnull=False)
                | Q(frozen_from__in=["SUCCESS", "FAILED"], ended_at__isnull=False)
                | (~Q(state__in=["SUCCESS", "FAILED"]) & Q(ended_at__isnull=True)),
                name="instance_ended_when_finished",
            ),
            models.CheckConstraint(
                condition=(Q(state="FROZEN") & ~Q(frozen_from=""))
                | (~Q(state="FROZEN") & Q(frozen_from="")),
                name="instance_frozen_from_a_state",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["RUNNING", "TERMINATING"])
                | Q(started_at__isnull=False, dispatched_at__isnull=False),
                name="instance_running_has_started",
            ),
            models.CheckConstraint(
                condition=~Q(
                    state__in=[
                        "NOT_RUN",
                        "WAITING_EVENT",
                        "WAITING_UPSTREAM",
                        "RETRYING",
                    ]
                )
                | Q(dispatched_at__isnull=True, ready_at__isnull=True, started_at__isnull=True),
                name="instance_waiting_is_not_sent",
            ),
            models.CheckConstraint(
                condition=~Q(state="WAITING_EXECUTION") | Q(ready_at__isnull=False),
                name="instance_ready_has_ready_time",
            ),
        ]
        indexes = [
            # Dispatch: the ready ones of a group, in their order.
            models.Index(
                "resource_group",
                models.F("priority").desc(),
                "sort_key",
                "scheduled_at",
                "id",
                name="instance_ready",
                condition=Q(state="WAITING_EXECUTION", dispatched_at__isnull=True),
            ),
            # Dispatch: the same of a task that has a limit of its own.
            models.Index(
                "task",
                "resource_group",
                models.F("priority").desc(),
                "sort_key",
                "scheduled_at",
                "id",
                name="instance_ready_of_task",
                condition=Q(state="WAITING_EXECUTION", dispatched_at__isnull=True),
            ),
            # Sweep: those whose clock has come.
            models.Index(
                fields=["not_before"],
                name="instance_clocked",
                condition=Q(state__in=["NOT_RUN", "RETRYING"], awaits_day=False),
            ),
            # Days: what is not SUCCESS yet, and what has to be let go on when one opens.
            models.Index(
                fields=["day", "state"],
                name="instance_of_day",
                condition=Q(day__isnull=False),
            ),
            models.Index(
                fields=["day", "id"], name="instance_awaits_day", condition=Q(awaits_day=True)
            ),
            # Sweep: every waiting one, round by round.
            models.Index(
                fields=["id"],
                name="instance_waiting",
                condition=Q(state__in=["WAITING_EVENT", "WAITING_UPSTREAM"]),
            ),
            # Sweep: what succeeded lately, whose downstream may have been left behind.
            models.Index(
                fields=["ended_at"], name="instance_succeeded", condition=Q(state="SUCCESS")
            ),
            # Progress, control and lists of a plan.
            models.Index(
                fields=["batch", "state"],
                name="instance_of_batch",
                condition=Q(batch__isnull=False),
            ),
            # A slot's history, a task's history.
            models.Index(fields=["task", "-scheduled_at"], name="instance_of_task"),
            # Lists: newest planned first in a project, and by state.
            models.Index(fields=["project", "-scheduled_at", "-id"], name="instance_list"),
            models.Index(
                fields=["project", "state", "-scheduled_at", "-id"], name="instance_list_by_state"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task} {self.scheduled_at:%Y-%m-%d %H:%M}"
