"""An instance: one piece of work on one slot."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext as _

from instances.models.batch import Batch
from instances.models.batch_day import BatchDay
from instances.states import Kind, State
from projects.ground.showing import slot_name
from projects.ground.words import gettext_lazy
from projects.models import Project, ResourceGroup
from workflows.choices import Priority
from workflows.models import Task, TaskVersion

READY = Q(state="WAITING_EXECUTION", dispatched_at__isnull=True)
# Holds for all. Whoever lists or counts by state says it, so that their index may be read; the
# engine's statements do not, and never read what is dead in it (docs/decisions/old-snapshots.md).
LISTED = Q(project__gt=0)


class Instance(models.Model):
    """A task's work on the slot (task, scheduled_at). Only transitions.py writes its state."""

    # Foreign keys without an index of their own stand first in one below, or nobody looks for them:
    # each index is paid for by every move of every instance (docs/decisions/indexes.md).
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="instances", db_index=False
    )
    task = models.ForeignKey(
        Task, on_delete=models.CASCADE, related_name="instances", db_index=False
    )
    version = models.ForeignKey(
        TaskVersion, on_delete=models.PROTECT, related_name="instances", db_index=False
    )
    batch = models.ForeignKey(
        Batch,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="instances",
        db_index=False,
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
    marked = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        help_text="Marked success while it ran: it is a success once its process has ended.",
    )
    # Settled by hand: somebody said that it is a success. What ran, and when, stays as it was.
    settled_at = models.DateTimeField(null=True, blank=True, editable=False)
    settled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        db_index=False,
        editable=False,
    )
    settled_because = models.CharField(
        max_length=500, blank=True, default="", db_default="", editable=False
    )
    error_code = models.CharField(max_length=64, blank=True)
    error_message = models.TextField(blank=True)

    dry = models.BooleanField(default=False, help_text="Succeeds at once without running.")
    # Dry and virtual instances succeed inside the engine and never travel to a worker.
    inline = models.BooleanField(default=False)
    resource_group = models.ForeignKey(
        ResourceGroup,
        verbose_name=gettext_lazy("resource group"),
        on_delete=models.PROTECT,
        related_name="instances",
        db_index=False,
    )
    priority = models.PositiveSmallIntegerField(choices=Priority.choices, default=Priority.NORMAL)
    # Smaller goes first. 0: periodic. From 1 on: its place in its batch's order, so that periodic
    # work of the same priority goes first and batches take turns (docs/decisions/order.md).
    sort_key = models.IntegerField(default=0)
    # In which of the two lists of what is ready it stands: that of the tasks with a limit of their
    # own. Only a place to look: whether its task has a limit now, the task says.
    limited = models.BooleanField(default=False, db_default=False)
    # The transaction that made it ready: who has looked once finds by it what is new (seen.py).
    ready_xid = models.BigIntegerField(null=True, blank=True, editable=False)
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
        verbose_name = gettext_lazy("instance")
        verbose_name_plural = gettext_lazy("instances")
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
                condition=Q(marked=False) | Q(state="TERMINATING"),
                name="instance_marked_is_terminating",
            ),
            models.CheckConstraint(
                condition=Q(settled_at__isnull=True, settled_by__isnull=True, settled_because="")
                | Q(settled_at__isnull=False, state="SUCCESS")
                | Q(settled_at__isnull=False, state="FROZEN", frozen_from="SUCCESS")
                | Q(settled_at__isnull=False, state="TERMINATING", marked=True),
                name="instance_settled_is_success",
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
                condition=~Q(state="WAITING_EXECUTION")
                | Q(ready_at__isnull=False, ready_xid__isnull=False),
                name="instance_ready_has_ready_time",
            ),
            models.CheckConstraint(
                condition=Q(batch__isnull=True, sort_key=0)
                | Q(batch__isnull=False, sort_key__gt=0),
                name="instance_periodic_goes_first",
            ),
        ]
        indexes = [
            # Dispatch: the ready ones of a group, in their order. All ascending, so that a look can
            # begin at any place in it. "sort_key >= 0" holds for all: each index over what is ready
            # has a condition of its own that only its query states, as no plan must read another
            # one from its beginning (seen.py).
            models.Index(
                "resource_group",
                models.F("priority") * -1,
                "sort_key",
                "scheduled_at",
                "id",
                name="instance_ready",
                condition=READY & Q(limited=False, sort_key__gte=0),
            ),
            # Dispatch: those of a group that became ready since a look.
            models.Index(
                fields=["resource_group", "ready_xid"],
                name="instance_newly_ready",
                condition=READY & Q(limited=False, ready_xid__gt=0),
            ),
            # Dispatch: the ready ones of a task that has a limit of its own.
            models.Index(
                "resource_group",
                "task",
                models.F("priority") * -1,
                "sort_key",
                "scheduled_at",
                "id",
                name="instance_ready_of_task",
                condition=READY & Q(limited=True),
            ),
            # Sweep: those whose clock has come, batch by batch: paused ones are passed over.
            models.Index(
                fields=["batch", "not_before"],
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
            # The same for what was settled by hand after it had ended; and the filter.
            models.Index(
                fields=["settled_at"],
                name="instance_settled",
                condition=Q(settled_at__isnull=False),
            ),
            # A user is deleted.
            models.Index(
                fields=["settled_by"],
                name="instance_settled_by",
                condition=Q(settled_by__isnull=False),
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
            # Nearly all are SUCCESS: to list those is to list all and leave out the others.
            models.Index(
                fields=["project", "state", "-scheduled_at", "-id"],
                name="instance_list_by_state",
                condition=~Q(state="SUCCESS") & LISTED,
            ),
        ]

    def __str__(self) -> str:
        return slot_name(str(self.task), self.data_date, self.local_time)

    @property
    def state_label(self) -> str:
        """The state as people read it, with who settled it by hand; loads `settled_by`."""
        label = self.get_state_display()
        if self.settled_at is None:
            return label
        by = self.settled_by or _("the system")
        return _("{state} · marked by {user}").format(state=label, user=by)
