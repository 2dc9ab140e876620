"""An edge: an instance waits for an upstream slot."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from instances.models.instance import Instance
from workflows.models import Task


class Edge(models.Model):
    """`instance` waits for the slot (upstream_task, upstream_scheduled_at).

    `upstream` points at the instance of that slot once it exists; until then the edge blocks.
    A removed edge (I7) blocks no more and stays visible.
    """

    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="edges")
    upstream_task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="+")
    upstream_scheduled_at = models.DateTimeField()
    upstream = models.ForeignKey(
        Instance, null=True, blank=True, on_delete=models.SET_NULL, related_name="downstream_edges"
    )
    # True: the upstream is an instance of the same batch. False: it is the slot's periodic instance
    # or, where there is none, one of any plan that succeeded on the slot.
    within_batch = models.BooleanField(default=False)
    removed_at = models.DateTimeField(null=True, blank=True)
    removed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
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
        ]

    def __str__(self) -> str:
        return f"{self.upstream_task_id}@{self.upstream_scheduled_at} → {self.instance_id}"
