"""Which tasks run, seen from the root tasks (B3)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from django.utils.translation import gettext as _

from backfill.options.part import Part
from projects.ground.fields.field import Choice, Field, Kind, declare
from projects.ground.words import gettext_lazy, thousands

MAX_TASKS = 2_000


class Scope(StrEnum):
    """Which tasks run, seen from the root tasks (B3 a)."""

    SELECTED = "selected"  # the root tasks
    SELECTED_AND_DOWNSTREAM = "selected_and_downstream"  # they and what depends on them
    ONLY_DOWNSTREAM = "only_downstream"  # what depends on them, without them


def too_many_tasks(count: int) -> str:
    """The sentence that refuses `count` tasks in all (B3)."""
    problem = _("A plan takes at most {most} tasks; {count} are selected.")
    return problem.format(most=thousands(MAX_TASKS), count=thousands(count))


@dataclass(frozen=True, kw_only=True)
class SelectionOptions(Part):
    """The tasks. `downstream_task_ids` empty means the whole downstream."""

    step: ClassVar[int] = 1

    scope: Scope = declare(
        Field(
            label=gettext_lazy("Scope"),
            help=gettext_lazy("Run the tasks without, with, or only what depends on them."),
            kind=Kind.CHOICE,
            default=Scope.SELECTED,
            choices=(
                Choice(
                    Scope.SELECTED,
                    gettext_lazy("Chosen tasks"),
                    gettext_lazy("Only the tasks chosen above."),
                    word="without",
                ),
                Choice(
                    Scope.SELECTED_AND_DOWNSTREAM,
                    gettext_lazy("Chosen tasks and downstream"),
                    gettext_lazy("They, and what depends on them."),
                    word="with",
                ),
                Choice(
                    Scope.ONLY_DOWNSTREAM,
                    gettext_lazy("Only downstream"),
                    gettext_lazy("What depends on them, without them."),
                    word="only",
                ),
            ),
            option="--downstream",
        )
    )
    downstream_task_ids: tuple[int, ...] = declare(
        Field(
            label=gettext_lazy("Downstream tasks"),
            help=gettext_lazy("Those of the downstream that run; none given: all of it."),
            kind=Kind.IDS,
            default=(),
            max_items=MAX_TASKS,
            only_with=("scope", (Scope.SELECTED_AND_DOWNSTREAM, Scope.ONLY_DOWNSTREAM)),
            none=gettext_lazy("all of them"),
        )
    )
