"""A data source: a database that SQL tasks may name."""

from __future__ import annotations

from django.core.validators import RegexValidator
from django.db import models

from projects.ground.secrets import EncryptedTextField
from projects.ground.words import gettext_lazy
from projects.models.project import Project


class DataSource(models.Model):
    """An SQLAlchemy URL under a name; its password is encrypted at rest and shown to nobody."""

    project = models.ForeignKey(
        Project,
        verbose_name=gettext_lazy("project"),
        on_delete=models.CASCADE,
        related_name="data_sources",
        db_index=False,
    )
    name = models.CharField(
        gettext_lazy("name"),
        max_length=64,
        validators=[RegexValidator(r"^[\w.-]+\Z", gettext_lazy("Use letters, digits, . - and _."))],
    )
    url = models.CharField(
        gettext_lazy("url"),
        max_length=500,
        help_text=gettext_lazy(
            "SQLAlchemy URL without the password: postgresql+psycopg://user@host/database."
        ),
    )
    password = EncryptedTextField(gettext_lazy("password"), blank=True, default="")
    description = models.TextField(gettext_lazy("description"), blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = gettext_lazy("data source")
        verbose_name_plural = gettext_lazy("data sources")
        ordering = ["project_id", "name"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name"],
                name="data_source_name_in_project",
                violation_error_message=gettext_lazy(
                    "The project has a data source of this name already."
                ),
            ),
        ]

    def __str__(self) -> str:
        return self.name
