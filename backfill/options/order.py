"""What goes first, and when (B7, B10, B11)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from backfill.options.part import Part
from projects.ground.fields.field import Choice, Field, Kind, declare
from projects.ground.words import gettext_lazy

MIN_GROUPS, MAX_GROUPS = 2, 10
_LEFT = gettext_lazy("Where dependencies leave a choice.")


class RunMode(StrEnum):
    """What lets an instance start, beside its dependencies (B10)."""

    BY_DEPENDENCY = "by_dependency"  # nothing else
    DAY_BY_DAY = "day_by_day"  # every instance of the day before has succeeded


class Order(StrEnum):
    """Which data dates go first where dependencies leave a choice (B11)."""

    ASCENDING = "ascending"
    DESCENDING = "descending"


class FutureRuns(StrEnum):
    """When instances planned in the future run (B7)."""

    WHEN_DUE = "when_due"  # when their planned time comes
    AT_ONCE = "at_once"  # now; the future date is what the task sees


@dataclass(frozen=True, kw_only=True)
class OrderOptions(Part):
    """The order. `groups`, None or 2 to 10, is how many lanes of dates run side by side."""

    run_mode: RunMode = declare(
        Field(
            label=gettext_lazy("Run mode"),
            help=gettext_lazy("What lets an instance start, beside its dependencies."),
            kind=Kind.CHOICE,
            default=RunMode.BY_DEPENDENCY,
            choices=(
                Choice(
                    RunMode.BY_DEPENDENCY,
                    gettext_lazy("By dependency"),
                    gettext_lazy("As soon as what it waits for has succeeded."),
                ),
                Choice(
                    RunMode.DAY_BY_DAY,
                    gettext_lazy("Day by day"),
                    gettext_lazy(
                        "A date starts after every instance of the one before it succeeded; a"
                        " failure holds the later ones."
                    ),
                ),
            ),
            option="--mode",
        )
    )
    groups: int | None = declare(
        Field(
            label=gettext_lazy("Groups side by side"),
            help=gettext_lazy(
                "The dates, in their order, are cut into groups of consecutive ones. The groups"
                " run side by side, and in each one date after the other. Fewer dates than groups:"
                " a group for each date."
            ),
            kind=Kind.INTEGER,
            minimum=MIN_GROUPS,
            maximum=MAX_GROUPS,
            unit=gettext_lazy("groups"),
            only_with=("run_mode", (RunMode.DAY_BY_DAY,)),
            option="--groups",
            none=gettext_lazy("One date after the other"),
        )
    )
    order: Order = declare(
        Field(
            label=gettext_lazy("Order of data dates"),
            help=gettext_lazy("Which dates go first where dependencies leave a choice."),
            kind=Kind.CHOICE,
            default=Order.ASCENDING,
            choices=(
                Choice(Order.ASCENDING, gettext_lazy("Oldest first"), _LEFT),
                Choice(Order.DESCENDING, gettext_lazy("Newest first"), _LEFT),
            ),
            option="--order",
        )
    )
    future_runs: FutureRuns = declare(
        Field(
            label=gettext_lazy("Future instances run"),
            help=gettext_lazy("When instances planned in the future run."),
            kind=Kind.CHOICE,
            default=FutureRuns.WHEN_DUE,
            choices=(
                Choice(
                    FutureRuns.WHEN_DUE,
                    gettext_lazy("When they are due"),
                    gettext_lazy("Future instances wait for their time."),
                ),
                Choice(
                    FutureRuns.AT_ONCE,
                    gettext_lazy("At once"),
                    gettext_lazy("The future date is what the task sees."),
                ),
            ),
            option="--future",
        )
    )
