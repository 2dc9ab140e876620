"""Where a plan starts: the root tasks (B2)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from backfill.options.part import Part
from projects.ground.fields.field import Choice, Field, Kind, declare
from projects.ground.fields.reader import FieldReader

MAX_ROOT_TASKS = 500
MAX_IDS = 100_000


class EntryKind(StrEnum):
    """Where the root tasks come from (B2)."""

    TASKS = "tasks"  # the tasks named
    WORKFLOWS = "workflows"  # all tasks of the workflows named
    FOLDERS = "folders"  # all tasks of the workflows in the folders named
    PROJECT = "project"  # all tasks of the plan's project


@dataclass(frozen=True, slots=True)
class Entry:
    """Where the plan starts: a kind, and the ids of tasks, workflows or folders."""

    kind: EntryKind
    ids: tuple[int, ...] = ()
    subfolders: bool = True


def too_many_roots(count: int) -> str:
    """The sentence that refuses `count` root tasks (B3)."""
    return f"A plan takes at most {MAX_ROOT_TASKS} root tasks; {count:,} are chosen."


def _make_entry(fields: FieldReader, values: dict[str, Any]) -> Entry:
    entry = Entry(**values)
    if entry.kind is EntryKind.PROJECT and entry.ids:
        fields.refuse("ids", "A project entry is the plan's own project and takes no ids.")
    if entry.kind is not EntryKind.PROJECT and not entry.ids:
        fields.refuse("ids", f"Choose at least one of the {entry.kind}.")
    if entry.kind is EntryKind.TASKS and len(entry.ids) > MAX_ROOT_TASKS:
        fields.refuse("ids", too_many_roots(len(entry.ids)), "too_many_roots")
    return entry


@dataclass(frozen=True, kw_only=True)
class EntryOptions(Part):
    """The root tasks."""

    step: ClassVar[int] = 1

    entry: Entry = declare(
        Field(
            label="Beginning with",
            help="The root tasks: tasks, all tasks of workflows or folders, or of the project.",
            kind=Kind.OBJECT,
            required=True,
            missing="Say which tasks, workflows, folders or project to run.",
            make=_make_entry,
            fields=(
                Field(
                    name="kind",
                    help="What the ids are.",
                    kind=Kind.CHOICE,
                    required=True,
                    missing=f"Give one of: {', '.join(EntryKind)}.",
                    choices=tuple(Choice(one, one.capitalize()) for one in EntryKind),
                ),
                Field(
                    name="ids",
                    help=f"Of tasks at most {MAX_ROOT_TASKS}; of the project none.",
                    kind=Kind.IDS,
                    default=(),
                    max_items=MAX_IDS,
                ),
                Field(
                    name="subfolders",
                    help="Of folders: with all that is below them.",
                    kind=Kind.BOOLEAN,
                    default=True,
                ),
            ),
        )
    )
