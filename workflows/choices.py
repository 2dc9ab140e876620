"""The choices of definitions."""

from __future__ import annotations

from django.db import models

from workflows.schedules.cycles import Cycle
from workflows.schedules.matching import Offset, Scope

CYCLE_CHOICES = [(cycle.value, cycle.value.replace("_", " ")) for cycle in Cycle]
OFFSET_CHOICES = [(offset.value, offset.value) for offset in Offset]
SCOPE_CHOICES = [(scope.value, scope.value.replace("_", " ")) for scope in Scope]


class TaskStatus(models.TextChoices):
    """The stored status of a task. INVALID is never stored: it follows from the clock (T2)."""

    DRAFT = "DRAFT", "Draft"  # never submitted, or deleted from operations
    SCHEDULING = "SCHEDULING", "Scheduling"  # generates instances by its schedule
    PAUSED = "PAUSED", "Paused"  # generates none; those there are go on
    OFFLINE = "OFFLINE", "Offline"  # taken out; comes back by a new submission
    INVALID = "INVALID", "Invalid"  # now is past its effective-until (shown, never stored)


# What a backfill plan may hold (B2); INVALID tasks are stored under one of these.
BACKFILLABLE = frozenset({TaskStatus.SCHEDULING, TaskStatus.PAUSED})


class CatchUp(models.TextChoices):
    """What generation does with the fires it missed while it was down."""

    ALL = "all", "Every missed instance"
    LATEST = "latest", "Only the latest"


class Priority(models.IntegerChoices):
    """The five priorities; a higher one is dispatched first."""

    LOWEST = 1, "1 · lowest"
    LOW = 3, "3 · low"
    NORMAL = 5, "5 · normal"
    HIGH = 7, "7 · high"
    HIGHEST = 8, "8 · highest"
