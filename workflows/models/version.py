"""A version: the immutable snapshot that a submission makes (T9)."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from projects.ground.words import gettext_lazy
from workflows.choices import CYCLE_CHOICES
from workflows.models.task import Task


class TaskVersion(models.Model):
    """A definition as it was submitted. A trigger refuses every change to `definition`."""

    task = models.ForeignKey(
        Task, on_delete=models.CASCADE, related_name="versions", db_index=False
    )
    number = models.PositiveIntegerField()
    definition = models.JSONField()
    type = models.CharField(max_length=64)
    cycle = models.CharField(max_length=16, choices=CYCLE_CHOICES)
    time_zone = models.CharField(max_length=64)
    comment = models.CharField(max_length=256, blank=True)
    submitted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    submitted_at = models.DateTimeField()

    class Meta:
        verbose_name = gettext_lazy("task version")
        verbose_name_plural = gettext_lazy("task versions")
        ordering = ["task_id", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["task", "number"], name="version_number_of_task"),
        ]

    def __str__(self) -> str:
        return f"{self.task} v{self.number}"
