"""Where a plan starts: the root tasks (B2)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from django.utils.translation import gettext as _

from backfill.options.part import Part
from projects.ground.fields.field import Choice, Field, Kind, declare
from projects.ground.fields.reader import FieldReader
from projects.ground.words import format_lazy, gettext_lazy, thousands

MAX_ROOT_TASKS = 500
MAX_IDS = 100_000


class EntryKind(StrEnum):
    """Where the root tasks come from (B2)."""

    TASKS = "tasks"  # the tasks named
    WORKFLOWS = "workflows"  # all tasks of the workflows named
    FOLDERS = "folders"  # all tasks of the workflows in the folders named
    PROJECT = "project"  # all tasks of the plan's project


ENTRY_LABELS = {
    EntryKind.TASKS: gettext_lazy("Tasks"),
    EntryKind.WORKFLOWS: gettext_lazy("Workflows"),
    EntryKind.FOLDERS: gettext_lazy("Folders"),
    EntryKind.PROJECT: gettext_lazy("Project"),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """Where the plan starts: a kind, and the ids of tasks, workflows or folders."""

    kind: EntryKind
    ids: tuple[int, ...] = ()
    subfolders: bool = True


def too_many_roots(count: int) -> str:
    """The sentence that refuses `count` root tasks (B3)."""
    problem = _("A plan takes at most {most} root tasks; {count} are chosen.")
    return problem.format(most=MAX_ROOT_TASKS, count=thousands(count))


def _make_entry(fields: FieldReader, values: dict[str, Any]) -> Entry:
    entry = Entry(**values)
    if entry.kind is EntryKind.PROJECT and entry.ids:
        problem = _("A project entry is the plan's own project and takes no ids.")
        fields.refuse("ids", problem)
    if entry.kind is not EntryKind.PROJECT and not entry.ids:
        problem = _("Choose at least one of the {kind}.")
        fields.refuse("ids", problem.format(kind=ENTRY_LABELS[entry.kind].lower()))
    if entry.kind is EntryKind.TASKS and len(entry.ids) > MAX_ROOT_TASKS:
        fields.refuse("ids", too_many_roots(len(entry.ids)), "too_many_roots")
    return entry


@dataclass(frozen=True, kw_only=True)
class EntryOptions(Part):
    """The root tasks."""

    step: ClassVar[int] = 1

    entry: Entry = declare(
        Field(
            label=gettext_lazy("Beginning with"),
            help=gettext_lazy(
                "The root tasks: tasks, all tasks of workflows or folders, or of the project."
            ),
            kind=Kind.OBJECT,
            required=True,
            missing=gettext_lazy("Say which tasks, workflows, folders or project to run."),
            make=_make_entry,
            fields=(
                Field(
                    name="kind",
                    help=gettext_lazy("What the ids are."),
                    kind=Kind.CHOICE,
                    required=True,
                    missing=format_lazy(
                        gettext_lazy("Give one of: {names}."), names=", ".join(EntryKind)
                    ),
                    choices=tuple(Choice(one, ENTRY_LABELS[one]) for one in EntryKind),
                ),
                Field(
                    name="ids",
                    help=format_lazy(
                        gettext_lazy("Of tasks at most {count}; of the project none."),
                        count=MAX_ROOT_TASKS,
                    ),
                    kind=Kind.IDS,
                    default=(),
                    max_items=MAX_IDS,
                ),
                Field(
                    name="subfolders",
                    help=gettext_lazy("Of folders: with all that is below them."),
                    kind=Kind.BOOLEAN,
                    default=True,
                ),
            ),
        )
    )
