"""Which upstream instances a plan's instances wait for (B8)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from backfill.options.part import Part
from projects.ground.fields.field import Choice, Field, Kind, declare
from projects.ground.words import gettext_lazy, pgettext_lazy


class DependencyCheck(StrEnum):
    """Which upstream instances the plan's instances wait for (B8)."""

    ALL = "all"  # all of them, of the plan and outside of it
    NONE = "none"  # those of no other task: tasks run side by side
    SELECTED = "selected"  # those of the plan


@dataclass(frozen=True, kw_only=True)
class DependencyOptions(Part):
    """The dependencies."""

    dependency_check: DependencyCheck = declare(
        Field(
            label=gettext_lazy("Dependency check"),
            help=gettext_lazy("Which upstream instances are waited for."),
            kind=Kind.CHOICE,
            default=DependencyCheck.ALL,
            choices=(
                Choice(
                    DependencyCheck.ALL,
                    gettext_lazy("All upstream"),
                    gettext_lazy("Waits for upstream instances of the plan and outside of it."),
                ),
                Choice(
                    DependencyCheck.SELECTED,
                    gettext_lazy("Within the plan"),
                    gettext_lazy("Waits only for instances of the plan."),
                ),
                Choice(
                    DependencyCheck.NONE,
                    pgettext_lazy("dependencies", "None"),
                    gettext_lazy("Waits for nothing: tasks run side by side."),
                ),
            ),
            option="--check",
        )
    )
