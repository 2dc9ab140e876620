"""A resource group: a queue of workers with a number of slots."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from projects.ground.words import gettext_lazy
from projects.models.project import Project

DEFAULT_GROUP = "default"
_QUEUE_PREFIX = "tidemill.group."


def group_of_queue(queue: str) -> str:
    """Return the name of the group whose workers consume the queue."""
    return queue.removeprefix(_QUEUE_PREFIX)


class ResourceGroup(models.Model):
    """Workers that take their work from one queue; at most `slots` executions at a time."""

    class Kind(models.TextChoices):
        SHARED = "shared", gettext_lazy("Shared")  # used by every project
        EXCLUSIVE = "exclusive", gettext_lazy("Exclusive")  # used by the projects it is attached to
        SERVERLESS = "serverless", gettext_lazy("Serverless")  # exclusive, sized by its operator

    name = models.CharField(
        gettext_lazy("name"),
        max_length=64,
        unique=True,
        validators=[
            RegexValidator(
                r"^[a-z0-9][a-z0-9_.-]*\Z", gettext_lazy("Use a-z, 0-9, dot, dash and _.")
            )
        ],
        help_text=gettext_lazy("Also the name of the workers' queue: tidemill.group.<name>."),
    )
    kind = models.CharField(
        gettext_lazy("kind"), max_length=16, choices=Kind.choices, default=Kind.SHARED
    )
    description = models.TextField(gettext_lazy("description"), blank=True)
    slots = models.PositiveIntegerField(
        gettext_lazy("slots"),
        default=8,
        validators=[MinValueValidator(0), MaxValueValidator(100_000)],
        help_text=gettext_lazy("Executions at a time over all workers; 0 holds everything back."),
    )
    log_retention_days = models.PositiveIntegerField(
        gettext_lazy("log retention days"),
        default=7,
        validators=[MinValueValidator(1), MaxValueValidator(3660)],
        help_text=gettext_lazy("Days for which logs are kept: 7 on shared groups, 30 on others."),
    )
    projects = models.ManyToManyField(
        Project,
        verbose_name=gettext_lazy("projects"),
        related_name="resource_groups",
        blank=True,
        help_text=gettext_lazy("The projects that may use an exclusive or serverless group."),
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = gettext_lazy("resource group")
        verbose_name_plural = gettext_lazy("resource groups")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def queue(self) -> str:
        """The Celery queue of the group's workers."""
        return f"{_QUEUE_PREFIX}{self.name}"
