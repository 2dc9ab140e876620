"""An execution: one attempt at running an instance."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from instances.models.instance import Instance
from instances.states import LIVE, Cause, ExecutionState
from projects.models import ResourceGroup
from workflows.models import Task

LIVE_VALUES = sorted(state.value for state in LIVE)


class Execution(models.Model):
    """One attempt, with its three phases (waiting, ready, running), its code and its outcome."""

    instance = models.ForeignKey(
        Instance, on_delete=models.CASCADE, related_name="executions", db_index=False
    )
    # Its instance's, repeated so that what a task has running is counted without its instances. The
    # instance has the constraint.
    task = models.ForeignKey(
        Task, on_delete=models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False
    )
    number = models.PositiveIntegerField(help_text="1 is the instance's first execution.")
    cause = models.CharField(max_length=16, choices=Cause.choices)
    state = models.CharField(
        max_length=16, choices=ExecutionState.choices, default=ExecutionState.SENT
    )
    resource_group = models.ForeignKey(
        ResourceGroup, on_delete=models.PROTECT, related_name="executions", db_index=False
    )
    worker = models.CharField(max_length=200, blank=True)

    waiting_since = models.DateTimeField()
    ready_at = models.DateTimeField()
    dispatched_at = models.DateTimeField()
    announced_at = models.DateTimeField(help_text="When its message was last sent.")
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    # A worker renews its lease while it lives; an execution past it is lost (design §5.5).
    lease_until = models.DateTimeField(null=True, blank=True)
    stop_requested_at = models.DateTimeField(null=True, blank=True)

    code = models.TextField(blank=True, help_text="The code as executed, parameters filled in.")
    parameters = models.JSONField(default=dict, blank=True)
    exit_code = models.IntegerField(null=True, blank=True)
    error_code = models.CharField(max_length=64, blank=True)
    error_message = models.TextField(blank=True)
    log_bytes = models.BigIntegerField(
        default=0, help_text="Bytes that the task wrote; the log keeps 5 MB."
    )

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["instance", "number"], name="execution_number_of_instance"
            ),
            # Design §5.3: one live execution per instance, kept by the database itself.
            models.UniqueConstraint(
                fields=["instance"],
                # All ids are: so this is no index for whoever looks for what is live (seen.py).
                condition=Q(state__in=LIVE_VALUES, instance__gt=0),
                name="one_live_execution_per_instance",
            ),
            models.CheckConstraint(
                condition=Q(state__in=LIVE_VALUES, ended_at__isnull=True)
                | (~Q(state__in=LIVE_VALUES) & Q(ended_at__isnull=False)),
                name="execution_ended_when_not_live",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["RUNNING", "TERMINATING"])
                | Q(started_at__isnull=False, lease_until__isnull=False),
                name="execution_in_worker_has_a_lease",
            ),
        ]
        indexes = [
            # Dispatch: the slots in use. Claims: what was sent. Rescue looks at all of them: an
            # index on leases would be written anew with each renewal.
            models.Index(
                fields=["resource_group", "id"],
                name="execution_live",
                condition=Q(state__in=LIVE_VALUES),
            ),
            # Dispatch: the executions of a task that has a limit of its own.
            models.Index(
                fields=["task"],
                name="execution_live_of_task",
                condition=Q(ended_at__isnull=True, task__gt=0),
            ),
            # Claims: the newest of a group.
            models.Index(fields=["resource_group", "id"], name="execution_of_group"),
        ]

    def __str__(self) -> str:
        return f"{self.instance_id}#{self.number}"
