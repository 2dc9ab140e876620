"""A dependency that an operator removed from a slot for good."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from projects.ground.words import gettext_lazy
from workflows.models import Task


class RemovedDependency(models.Model):
    """The slot (task, scheduled_at) does not wait for that upstream slot any more (I7).

    The edges of the instance at which it was removed say so themselves; this is for the instances
    that plans make of the slot later, and outlives the one it was removed from.
    """

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="+", db_index=False)
    scheduled_at = models.DateTimeField()
    upstream_task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="+")
    upstream_scheduled_at = models.DateTimeField()
    removed_at = models.DateTimeField()
    removed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        ordering = ["id"]
        verbose_name_plural = gettext_lazy("removed dependencies")
        constraints = [
            models.UniqueConstraint(
                fields=["task", "scheduled_at", "upstream_task", "upstream_scheduled_at"],
                name="one_removal_per_upstream_slot",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.upstream_task_id} ↛ {self.task}@{self.scheduled_at}"
