"""Folders: the tree in which a project keeps its workflows."""

from __future__ import annotations

from django.db import models

from projects.models import Project
from projects.models.project import validate_name


class Folder(models.Model):
    """A node of the tree; `path` is the names from the root, joined by slashes."""

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="folders", db_index=False
    )
    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="children"
    )
    name = models.CharField(max_length=100, validators=[validate_name])
    path = models.CharField(max_length=1000, editable=False)

    class Meta:
        ordering = ["project_id", "path"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "path"],
                name="folder_path_in_project",
                violation_error_message="There is a folder of this name here already.",
            ),
        ]

    def __str__(self) -> str:
        return self.path
