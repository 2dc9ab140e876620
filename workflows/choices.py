"""The choices of definitions."""

from __future__ import annotations

from django.db import models

from projects.ground.words import gettext_lazy, pgettext_lazy
from workflows.schedules.cycles import Cycle
from workflows.schedules.matching import Offset, Scope

_CYCLES = {
    Cycle.MINUTE: pgettext_lazy("cycle", "minute"),
    Cycle.HOUR: pgettext_lazy("cycle", "hour"),
    Cycle.DAY: pgettext_lazy("cycle", "day"),
    Cycle.WEEK: pgettext_lazy("cycle", "week"),
    Cycle.MONTH: pgettext_lazy("cycle", "month"),
    Cycle.YEAR: pgettext_lazy("cycle", "year"),
    Cycle.CRONTAB: pgettext_lazy("cycle", "crontab"),
    Cycle.ONE_TIME: pgettext_lazy("cycle", "one time"),
}
_OFFSETS = {
    Offset.SAME: pgettext_lazy("offset", "same"),
    Offset.PREVIOUS: pgettext_lazy("offset", "previous"),
}
_SCOPES = {
    Scope.DEFAULT: pgettext_lazy("scope", "default"),
    Scope.PREVIOUS_DAY: pgettext_lazy("scope", "previous day"),
    Scope.WHOLE_PERIOD: pgettext_lazy("scope", "whole period"),
    Scope.LATEST: pgettext_lazy("scope", "latest"),
    Scope.INTERVAL: pgettext_lazy("scope", "interval"),
}
CYCLE_CHOICES = [(cycle.value, _CYCLES[cycle]) for cycle in Cycle]
OFFSET_CHOICES = [(offset.value, _OFFSETS[offset]) for offset in Offset]
SCOPE_CHOICES = [(scope.value, _SCOPES[scope]) for scope in Scope]


def cycle_label(cycle: str) -> str:
    """Return what people call a cycle, such as "one time"; nothing of nothing."""
    return str(dict(CYCLE_CHOICES).get(cycle, cycle))


def scope_label(scope: Scope) -> str:
    """Return what people call a scope, such as "previous day"."""
    return str(_SCOPES[scope])


class TaskStatus(models.TextChoices):
    """The stored status of a task. INVALID is never stored: it follows from the clock (T2)."""

    DRAFT = "DRAFT", gettext_lazy("Draft")  # never submitted, or deleted from operations
    SCHEDULING = "SCHEDULING", gettext_lazy("Scheduling")  # generates instances by its schedule
    PAUSED = "PAUSED", gettext_lazy("Paused")  # generates none; those there are go on
    OFFLINE = "OFFLINE", gettext_lazy("Offline")  # taken out; comes back by a new submission
    # Now is past its effective-until (shown, never stored).
    INVALID = "INVALID", gettext_lazy("Invalid")


# What a backfill plan may hold (B2); INVALID tasks are stored under one of these.
BACKFILLABLE = frozenset({TaskStatus.SCHEDULING, TaskStatus.PAUSED})


class CatchUp(models.TextChoices):
    """What generation does with the fires it missed while it was down."""

    ALL = "all", gettext_lazy("Every missed instance")
    LATEST = "latest", gettext_lazy("Only the latest")


class Priority(models.IntegerChoices):
    """The five priorities; a higher one is dispatched first."""

    LOWEST = 1, gettext_lazy("1 · lowest")
    LOW = 3, gettext_lazy("3 · low")
    NORMAL = 5, gettext_lazy("5 · normal")
    HIGH = 7, gettext_lazy("7 · high")
    HIGHEST = 8, gettext_lazy("8 · highest")
