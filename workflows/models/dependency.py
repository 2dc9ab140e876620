"""A dependency between two submitted tasks (T12)."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from projects.ground.words import gettext_lazy
from workflows.choices import OFFSET_CHOICES, SCOPE_CHOICES
from workflows.models.task import Task
from workflows.schedules.matching import Offset, Scope


class Dependency(models.Model):
    """`downstream` waits for `upstream`. Written by submission alone; self-dependency is a flag."""

    upstream = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="downstream_links")
    downstream = models.ForeignKey(
        Task, on_delete=models.CASCADE, related_name="upstream_links", db_index=False
    )
    offset = models.CharField(max_length=16, choices=OFFSET_CHOICES, default=Offset.SAME.value)
    scope = models.CharField(max_length=16, choices=SCOPE_CHOICES, default=Scope.DEFAULT.value)

    class Meta:
        ordering = ["downstream_id", "id"]
        verbose_name = gettext_lazy("dependency")
        verbose_name_plural = gettext_lazy("dependencies")
        constraints = [
            models.UniqueConstraint(
                fields=["downstream", "upstream", "offset"], name="one_dependency_per_pair"
            ),
            models.CheckConstraint(
                condition=~Q(upstream=F("downstream")), name="self_dependency_is_a_flag"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.upstream} → {self.downstream}"
