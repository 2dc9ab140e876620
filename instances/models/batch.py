"""A batch: instances made together, and the rules the engine obeys for them."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from projects.ground.words import gettext_lazy
from projects.models import Project


class Batch(models.Model):
    """The instances of one plan. `backfill` makes batches; the engine only reads their rules."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="batches")
    name = models.CharField(max_length=100)
    # Nothing of a stopped batch starts: set first, so that terminating 100,000 rows is instant.
    stopped_at = models.DateTimeField(null=True, blank=True)
    # Nothing of a paused batch starts until it is resumed; what runs goes on (B25).
    paused_at = models.DateTimeField(null=True, blank=True)
    # A resume is under way: of what waits, instances up to this id were looked at (0: none yet).
    resumed_until = models.BigIntegerField(null=True, blank=True, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = gettext_lazy("batches")
        indexes = [
            # Sweep: pauses to keep, resumes to go on with.
            models.Index(fields=["id"], name="batch_paused", condition=Q(paused_at__isnull=False)),
            models.Index(
                fields=["id"],
                name="batch_resuming",
                condition=Q(resumed_until__isnull=False),
            ),
            # Sweep: the batches whose termination may have broken off.
            models.Index(
                fields=["stopped_at"], name="batch_stopped", condition=Q(stopped_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return self.name
