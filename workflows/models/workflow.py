"""A workflow: a DAG of tasks in a folder."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from projects.ground.words import gettext_lazy
from projects.models import Project
from projects.models.project import validate_name, validate_time_zone
from workflows.models.folder import Folder


class Workflow(models.Model):
    """A named set of tasks that belong together; the tasks carry the schedules."""

    project = models.ForeignKey(
        Project,
        verbose_name=gettext_lazy("project"),
        on_delete=models.CASCADE,
        related_name="workflows",
        db_index=False,
    )
    folder = models.ForeignKey(
        Folder, null=True, blank=True, on_delete=models.PROTECT, related_name="workflows"
    )
    name = models.CharField(gettext_lazy("name"), max_length=100, validators=[validate_name])
    description = models.TextField(blank=True)
    time_zone = models.CharField(
        gettext_lazy("time zone"),
        max_length=64,
        blank=True,
        validators=[validate_time_zone],
        help_text=gettext_lazy("The time zone of its tasks' schedules; empty: the project's."),
    )
    owners = models.ManyToManyField(
        settings.AUTH_USER_MODEL, blank=True, related_name="owned_workflows"
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = gettext_lazy("workflow")
        verbose_name_plural = gettext_lazy("workflows")
        ordering = ["project_id", "name"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name"],
                name="workflow_name_in_project",
                violation_error_message=gettext_lazy(
                    "The project has a workflow of this name already."
                ),
            ),
        ]

    def __str__(self) -> str:
        return self.name
