"""Folders: the tree in which a project keeps its workflows."""

from __future__ import annotations

from django.db import models

from projects.ground.words import gettext_lazy
from projects.models import Project
from projects.models.project import validate_name


class Folder(models.Model):
    """A node of the tree; `path` is the names from the root, joined by slashes."""

    project = models.ForeignKey(
        Project,
        verbose_name=gettext_lazy("project"),
        on_delete=models.CASCADE,
        related_name="folders",
        db_index=False,
    )
    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="children"
    )
    name = models.CharField(gettext_lazy("name"), max_length=100, validators=[validate_name])
    path = models.CharField(gettext_lazy("path"), max_length=1000, editable=False)

    class Meta:
        verbose_name = gettext_lazy("folder")
        verbose_name_plural = gettext_lazy("folders")
        ordering = ["project_id", "path"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "path"],
                name="folder_path_in_project",
                violation_error_message=gettext_lazy(
                    "There is a folder of this name here already."
                ),
            ),
        ]

    def __str__(self) -> str:
        return self.path
