"""A cell of a plan that got no instance."""

from __future__ import annotations

from django.db import models

from backfill.models.plan import Plan
from backfill.states import SkipReason
from workflows.models import Task


class Skip(models.Model):
    """The slot (task, scheduled_at) was planned and not made, for a reason (B26)."""

    plan = models.ForeignKey(Plan, on_delete=models.CASCADE, related_name="skips", db_index=False)
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="+")
    scheduled_at = models.DateTimeField()
    data_date = models.DateField()
    reason = models.CharField(max_length=32, choices=SkipReason.choices)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["plan", "task", "scheduled_at"], name="one_skip_per_cell"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task} {self.scheduled_at}: {self.get_reason_display()}"
