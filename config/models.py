"""What watching Tidemill needs to remember: the last runs of periodic jobs, totals, a position.

Processes come and go and serve metrics side by side, so totals that only grow are kept here.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models


class Tick(models.Model):
    """When a job of the timetable last came to its end, on whatever machine."""

    job = models.CharField(primary_key=True, max_length=100, help_text="Its Celery task.")
    ended_at = models.DateTimeField()
    seconds = models.FloatField(help_text="How long that run took.")

    def __str__(self) -> str:
        return self.job


class Total(models.Model):
    """A number that only grows: `name` as in metrics, `key` what is counted apart in it."""

    name = models.CharField(max_length=100)
    resource_group = models.CharField(max_length=64, blank=True)
    key = models.CharField(max_length=100, blank=True)
    value = models.FloatField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["name", "resource_group", "key"], name="one_total")
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.resource_group} {self.key}".strip()


class TallyPosition(models.Model):
    """How far executions and instances have been counted; there is one row.

    Executions up to `execution_id` were looked at; those of `open_ids` had not ended then. As an
    open one holds a slot, there are never more of them than slots.
    """

    execution_id = models.BigIntegerField()
    open_ids = ArrayField(models.BigIntegerField(), default=list)
    succeeded_until = models.DateTimeField()

    def __str__(self) -> str:
        return f"execution {self.execution_id}"
