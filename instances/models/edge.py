"""An edge: an instance waits for an upstream slot."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from instances.models.instance import Instance
from projects.ground.words import gettext_lazy
from workflows.models import Task


class RemovedBecause(models.TextChoices):
    """Why the engine removed an edge by itself; the labels stand behind the upstream's name."""

    OFFLINE = "OFFLINE", gettext_lazy("no longer due: its task was taken offline")
    RESUBMITTED = (
        "RESUBMITTED",
        gettext_lazy("no longer due: its task was submitted with another schedule"),
    )
    PASSED_OVER = (
        "PASSED_OVER",
        gettext_lazy("passed over: its task catches up with the latest time only"),
    )
    EXPIRED = "EXPIRED", gettext_lazy("its success was deleted when it expired")


class Edge(models.Model):
    """`instance` waits for the slot (upstream_task, upstream_scheduled_at).

    `upstream` points at the instance of that slot once it exists; until then the edge blocks.
    A removed edge (I7) blocks no more and stays visible.
    """

    instance = models.ForeignKey(
        Instance, on_delete=models.CASCADE, related_name="edges", db_index=False
    )
    upstream_task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="+")
    upstream_scheduled_at = models.DateTimeField()
    upstream = models.ForeignKey(
        Instance, null=True, blank=True, on_delete=models.SET_NULL, related_name="downstream_edges"
    )
    # True: the upstream is an instance of the same batch. False: it is the slot's periodic instance
    # or, where there is none, one of any plan that succeeded on the slot.
    within_batch = models.BooleanField(default=False)
    removed_at = models.DateTimeField(null=True, blank=True)
    # Empty when an operator removed it, at this instance or at another one of its slot.
    removed_because = models.CharField(
        max_length=16, choices=RemovedBecause.choices, blank=True, db_default=""
    )
    removed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        db_index=False,
    )

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["instance", "upstream_task", "upstream_scheduled_at"],
                name="one_edge_per_upstream_slot",
            ),
        ]
        indexes = [
            # Generation: the edges that wait for a slot to exist.
            models.Index(
                fields=["upstream_task", "upstream_scheduled_at"],
                name="edge_unresolved",
                condition=Q(upstream__isnull=True),
            ),
            # Sweep, creation: those of an instance whose upstream may be there by now.
            models.Index(
                fields=["instance"],
                name="edge_unresolved_of_instance",
                condition=Q(upstream__isnull=True, removed_at__isnull=True),
            ),
            # Users that are deleted: few edges were removed by anybody.
            models.Index(
                fields=["removed_by"],
                name="edge_removed_by",
                condition=Q(removed_by__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.upstream_task_id}@{self.upstream_scheduled_at} → {self.instance_id}"
