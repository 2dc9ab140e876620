"""A dependency as a submitted plan has it."""

from __future__ import annotations

from django.db import models

from backfill.models.plan import Plan
from workflows.choices import OFFSET_CHOICES, SCOPE_CHOICES
from workflows.models import Task, TaskVersion
from workflows.schedules.matching import Offset, Scope


class PlanLink(models.Model):
    """In the plan `downstream`, a task of it, waits for `upstream`, in the plan or not.

    Fixed at submission with the versions of both, the upstream's also when it is not in the plan:
    what is submitted later changes nothing of it.
    """

    plan = models.ForeignKey(Plan, on_delete=models.CASCADE, related_name="links", db_index=False)
    upstream = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="+")
    upstream_version = models.ForeignKey(TaskVersion, on_delete=models.PROTECT, related_name="+")
    downstream = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="+")
    offset = models.CharField(max_length=16, choices=OFFSET_CHOICES, default=Offset.SAME.value)
    scope = models.CharField(max_length=16, choices=SCOPE_CHOICES, default=Scope.DEFAULT.value)

    class Meta:
        ordering = ["plan_id", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["plan", "downstream", "upstream", "offset"], name="one_plan_link_per_pair"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.plan}: {self.upstream} → {self.downstream}"
