"""A preview as tables for a terminal (B16)."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from backfill.planning.preview import Preview

TASKS_SHOWN = 40
DAYS_SHOWN = 31


def preview_table(preview: Preview) -> RenderableType:
    """Show how much is planned, by task and by day, and what to know before submitting."""
    parts: list[RenderableType] = [_headline(preview), _tasks(preview), _days(preview)]
    if preview.lanes:
        parts.append(_lanes(preview))
    parts += [Text(f"Warning: {warning.message}", style="yellow") for warning in preview.warnings]
    return Group(*parts)


def _headline(preview: Preview) -> Text:
    skipped = preview.cell_count - preview.instance_count
    return Text(
        f"{preview.instance_count:,} instances of {preview.task_count:,} tasks, data dates "
        f"{preview.first_data_date} to {preview.last_data_date}, {skipped:,} skipped"
    )


def _tasks(preview: Preview) -> Table:
    table = Table("Task", "Cycle")
    for name in ("Level", "Instances", "Skipped"):
        table.add_column(name, justify="right")
    for line in preview.tasks[:TASKS_SHOWN]:
        table.add_row(
            escape(line.label),
            line.cycle,
            str(line.level),
            f"{line.instances:,}",
            f"{line.skipped:,}",
        )
    _note_rest(table, len(preview.tasks) - TASKS_SHOWN, "tasks")
    return table


def _days(preview: Preview) -> Table:
    table = Table("Data date", "Planned on")
    for name in ("Instances", "Skipped"):
        table.add_column(name, justify="right")
    for line in preview.days[:DAYS_SHOWN]:
        table.add_row(
            str(line.data_date), str(line.planned_date), f"{line.instances:,}", f"{line.skipped:,}"
        )
    _note_rest(table, len(preview.days) - DAYS_SHOWN, "days")
    return table


def _lanes(preview: Preview) -> Table:
    table = Table("Group", "Data dates, one after the other")
    for name in ("Dates", "Instances"):
        table.add_column(name, justify="right")
    for line in preview.lanes:
        dates = f"{line.first_data_date} to {line.last_data_date}"
        table.add_row(str(line.number), dates, f"{line.days:,}", f"{line.instances:,}")
    return table


def _note_rest(table: Table, left: int, noun: str) -> None:
    if left > 0:
        table.caption = f"and {left:,} more {noun}"
