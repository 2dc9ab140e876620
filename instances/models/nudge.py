"""The note that a message for a job of the system queue waits for its turn."""

from __future__ import annotations

from django.db import models


class Nudge(models.Model):
    """A job's message, sent besides those of the timetable: there is at most one of each job.

    The job takes it away when it begins. A message that was lost counts until it would have
    expired.
    """

    job = models.CharField(max_length=64, primary_key=True)
    message = models.CharField(max_length=64, help_text="The message's id.")
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.job
