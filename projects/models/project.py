"""The project: the tenant that every other row belongs to."""

from __future__ import annotations

import zoneinfo

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.utils.translation import gettext as _

from projects.ground.words import gettext_lazy

# Names stand in references such as project/workflow/task and in YAML: no slash, no edge spaces.
NAME_PATTERN = r"^[^\s/](?:[^/\x00-\x1f]*[^\s/])?\Z"
validate_name = RegexValidator(
    NAME_PATTERN,
    gettext_lazy("A name has no slash and no control character, and no space at its ends."),
)


def validate_time_zone(value: str) -> None:
    """Raise ValidationError unless `value` is the IANA name of a time zone."""
    if value not in zoneinfo.available_timezones():
        problem = _("“{value}” is not a time zone such as Europe/Berlin or UTC.")
        raise ValidationError(problem.format(value=value))


class Project(models.Model):
    """A tenant: members work in it, and nothing of it is visible outside."""

    name = models.CharField(
        gettext_lazy("name"), max_length=100, unique=True, validators=[validate_name]
    )
    description = models.TextField(gettext_lazy("description"), blank=True)
    time_zone = models.CharField(
        gettext_lazy("time zone"),
        max_length=64,
        default="UTC",
        validators=[validate_time_zone],
        help_text=gettext_lazy("The time zone of schedules that name none, such as Europe/Berlin."),
    )
    periodic_retention_days = models.PositiveIntegerField(
        gettext_lazy("periodic retention days"),
        default=90,
        validators=[MinValueValidator(1), MaxValueValidator(3660)],
        help_text=gettext_lazy("Days for which finished periodic instances are kept."),
    )
    backfill_retention_days = models.PositiveIntegerField(
        gettext_lazy("backfill retention days"),
        default=30,
        validators=[MinValueValidator(1), MaxValueValidator(3660)],
        help_text=gettext_lazy("Days for which finished instances of backfill plans are kept."),
    )
    allowed_hosts = models.JSONField(
        gettext_lazy("allowed hosts"),
        default=list,
        blank=True,
        help_text='Hosts that http tasks may call, such as ["api.example.com", "*.example.org"].',
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = gettext_lazy("project")
        verbose_name_plural = gettext_lazy("projects")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
