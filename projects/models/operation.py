"""The operation record: who did what, when, with which options, to which objects (P3)."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db import models

from projects.ground.words import gettext_lazy
from projects.models.project import Project


class Operation(models.Model):
    """One action of a user, or of the system when actor is empty. Never changed nor deleted.

    One on many objects runs in the background: until it has ended it is what it has come to.
    """

    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
    )
    # The record outlives its project's name but not the tenant's existence: PROTECT keeps both.
    # Empty when it is about objects of several projects (`parts`), or of none.
    project = models.ForeignKey(
        Project,
        verbose_name=gettext_lazy("project"),
        null=True,
        on_delete=models.PROTECT,
        related_name="operations",
        db_index=False,
    )
    verb = models.CharField(max_length=64)
    options = models.JSONField(default=dict)
    total = models.PositiveIntegerField(default=0, db_default=0)
    succeeded = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)  # null: it runs in the background
    cancelled_at = models.DateTimeField(null=True)
    cancelled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
    )
    # When its last chunk was done: whose was longest ago is next.
    served_at = models.DateTimeField(null=True)
    # How often its next chunk failed: each time it is tried with half as many objects.
    failures = models.PositiveSmallIntegerField(default=0, db_default=0)

    class Meta:
        verbose_name = gettext_lazy("operation")
        verbose_name_plural = gettext_lazy("operations")
        ordering = ["-id"]
        indexes = [
            # The record of a project, newest first.
            models.Index(fields=["project", "-id"], name="operation_of_project"),
            # Those in the background, the next one first.
            models.Index(
                models.F("served_at").asc(nulls_first=True),
                "id",
                name="operation_running",
                condition=models.Q(ended_at=None),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.verb} #{self.pk}"

    @property
    def done(self) -> int:
        """How many objects have an outcome."""
        return self.succeeded + self.refused

    def time_left(self, now: datetime) -> timedelta | None:
        """Return how long it goes on at the speed it had so far; None when nobody can tell."""
        if self.ended_at is not None or not self.done:
            return None
        return (now - self.created_at) / self.done * (self.total - self.done)


class OperationPart(models.Model):
    """What an operation over several projects is in one of them: its members see this much."""

    operation = models.ForeignKey(
        Operation, on_delete=models.CASCADE, related_name="parts", db_index=False
    )
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+", db_index=False)
    total = models.PositiveIntegerField(default=0)
    succeeded = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["operation", "project"], name="one_part_in_a_project"),
        ]
        indexes = [
            models.Index(fields=["project", "-operation"], name="part_of_project"),
        ]

    def __str__(self) -> str:
        return f"#{self.operation_id}/{self.project_id}"


class OperationObject(models.Model):
    """One object that an operation was about, and what became of it."""

    operation = models.ForeignKey(Operation, on_delete=models.CASCADE, related_name="objects_of")
    object_type = models.CharField(max_length=32)
    object_id = models.BigIntegerField()
    # Empty for what the actor did not see.
    project = models.ForeignKey(
        Project, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    label = models.CharField(max_length=255, blank=True)
    ok = models.BooleanField(default=True, null=True)  # null: its turn has not come
    code = models.CharField(max_length=64, blank=True)
    detail = models.TextField(blank=True)

    class Meta:
        ordering = ["id"]
        indexes = [
            # "Operation record" on an object's page, newest first.
            models.Index(fields=["object_type", "object_id", "-id"], name="record_of_object"),
            # What of an operation is still to be done.
            models.Index(
                fields=["operation", "object_id"],
                name="operation_pending",
                condition=models.Q(ok=None),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.object_type} {self.object_id}"
