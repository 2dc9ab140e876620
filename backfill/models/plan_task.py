"""A task of a submitted plan."""

from __future__ import annotations

from django.db import models

from backfill.models.plan import Plan
from workflows.models import Task, TaskVersion


class PlanTask(models.Model):
    """A task that a submitted plan runs, the version it runs, and its place in the graph."""

    plan = models.ForeignKey(Plan, on_delete=models.CASCADE, related_name="tasks", db_index=False)
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="+")
    version = models.ForeignKey(TaskVersion, on_delete=models.PROTECT, related_name="+")
    position = models.PositiveIntegerField(help_text="Topological order in the plan.")
    dry = models.BooleanField(default=False)
    cell_count = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["plan_id", "position"]
        constraints = [
            models.UniqueConstraint(fields=["plan", "task"], name="one_plan_task_per_task"),
        ]

    def __str__(self) -> str:
        return f"{self.plan}: {self.task}"
