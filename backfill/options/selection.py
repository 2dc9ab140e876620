"""Which tasks run, seen from the root tasks (B3)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from backfill.options.part import Part
from projects.ground.fields.field import Choice, Field, Kind, declare

MAX_TASKS = 2_000


class Scope(StrEnum):
    """Which tasks run, seen from the root tasks (B3 a)."""

    SELECTED = "selected"  # the root tasks
    SELECTED_AND_DOWNSTREAM = "selected_and_downstream"  # they and what depends on them
    ONLY_DOWNSTREAM = "only_downstream"  # what depends on them, without them


def too_many_tasks(count: int) -> str:
    """The sentence that refuses `count` tasks in all (B3)."""
    return f"A plan takes at most {MAX_TASKS:,} tasks; {count:,} are selected."


@dataclass(frozen=True, kw_only=True)
class SelectionOptions(Part):
    """The tasks. `downstream_task_ids` empty means the whole downstream."""

    step: ClassVar[int] = 1

    scope: Scope = declare(
        Field(
            help="Run the tasks without, with, or only what depends on them.",
            kind=Kind.CHOICE,
            default=Scope.SELECTED,
            choices=(
                Choice(
                    Scope.SELECTED, "Chosen tasks", "Only the tasks chosen above.", word="without"
                ),
                Choice(
                    Scope.SELECTED_AND_DOWNSTREAM,
                    "Chosen tasks and downstream",
                    "They, and what depends on them.",
                    word="with",
                ),
                Choice(
                    Scope.ONLY_DOWNSTREAM,
                    "Only downstream",
                    "What depends on them, without them.",
                    word="only",
                ),
            ),
            option="--downstream",
        )
    )
    downstream_task_ids: tuple[int, ...] = declare(
        Field(
            label="Downstream tasks",
            help="Those of the downstream that run; none given: all of it.",
            kind=Kind.IDS,
            default=(),
            max_items=MAX_TASKS,
            only_with=("scope", (Scope.SELECTED_AND_DOWNSTREAM, Scope.ONLY_DOWNSTREAM)),
            none="all of them",
        )
    )
