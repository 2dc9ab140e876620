"""A key under which a creating call was answered, so that its repetition creates nothing (P4)."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from projects.models.project import Project


class IdempotencyKey(models.Model):
    """The first answer to a user's call under a key."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    key = models.CharField(max_length=200)
    request_digest = models.CharField(max_length=64, help_text="SHA-256 of method, path and body.")
    status = models.PositiveSmallIntegerField(default=0)
    answer = models.JSONField(null=True)
    # Whose answer it is: who leaves the project gets it no more.
    project = models.ForeignKey(
        Project, null=True, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["user", "key"], name="idempotency_key_of_user"),
        ]
        indexes = [
            # Forgetting old keys.
            models.Index(fields=["created_at"], name="idempotency_key_age"),
        ]

    def __str__(self) -> str:
        return self.key
