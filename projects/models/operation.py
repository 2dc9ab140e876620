"""The operation record: who did what, when, with which options, to which objects (P3)."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from projects.models.project import Project


class Operation(models.Model):
    """One action of a user, or of the system when actor is empty. Never changed nor deleted."""

    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
    )
    # The record outlives its project's name but not the tenant's existence: PROTECT keeps both.
    project = models.ForeignKey(
        Project, null=True, on_delete=models.PROTECT, related_name="operations"
    )
    verb = models.CharField(max_length=64)
    options = models.JSONField(default=dict)
    succeeded = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            # The record of a project, newest first.
            models.Index(fields=["project", "-id"], name="operation_of_project"),
        ]

    def __str__(self) -> str:
        return f"{self.verb} #{self.pk}"


class OperationObject(models.Model):
    """One object that an operation was about, and what became of it."""

    operation = models.ForeignKey(Operation, on_delete=models.CASCADE, related_name="objects_of")
    object_type = models.CharField(max_length=32)
    object_id = models.BigIntegerField()
    label = models.CharField(max_length=255, blank=True)
    ok = models.BooleanField(default=True)
    code = models.CharField(max_length=64, blank=True)
    detail = models.TextField(blank=True)

    class Meta:
        ordering = ["id"]
        indexes = [
            # "Operation record" on an object's page, newest first.
            models.Index(fields=["object_type", "object_id", "-id"], name="record_of_object"),
        ]

    def __str__(self) -> str:
        return f"{self.object_type} {self.object_id}"
