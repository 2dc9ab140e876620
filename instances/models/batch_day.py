"""A day of a batch that runs day by day."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from instances.models.batch import Batch


class BatchDay(models.Model):
    """A date of a batch and its place: the days of a lane open one after the other (B10).

    `instances.engine.days` has the rule, and is the only writer.
    """

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="days", db_index=False)
    lane = models.PositiveSmallIntegerField(help_text="Lanes run side by side; the first is 1.")
    position = models.PositiveIntegerField(help_text="The place in its lane; the first is 0.")
    day = models.DateField(help_text="The local planned date.")
    # When all that is planned on it had been made, and it could be judged as a whole.
    made_at = models.DateTimeField(null=True, blank=True)
    # When its instances were allowed to start. A day that is open stays open.
    opened_at = models.DateTimeField(null=True, blank=True)
    # When all of its instances were SUCCESS for the first time, so that the next one opened.
    done_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["batch_id", "lane", "position"]
        constraints = [
            models.UniqueConstraint(fields=["batch", "day"], name="batch_day_once"),
            models.UniqueConstraint(fields=["batch", "lane", "position"], name="batch_day_place"),
            models.CheckConstraint(
                condition=Q(done_at__isnull=True)
                | Q(made_at__isnull=False, opened_at__isnull=False),
                name="batch_day_done_was_made_and_open",
            ),
        ]
        indexes = [
            # Sweep: the days that are going on.
            models.Index(
                fields=["id"],
                name="batch_day_going_on",
                condition=Q(opened_at__isnull=False, done_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.batch} {self.day}"
