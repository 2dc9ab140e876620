"""A plan's tasks over its data dates, as one picture of any size (B22)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar
from urllib.parse import urlencode

from django.db import connection
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from backfill.models import Plan
from backfill.planning.dates import ONE_DAY, planned_days
from backfill.spec import PlanSpec
from instances.admin.order import PROGRESS_ORDER
from instances.states import State
from projects.console.drawing.heat_map import Cell, Heading, draw_heat_map
from projects.ground.showing import tone_of
from projects.ground.words import listed, thousands

T = TypeVar("T")

# Rows and columns that one takes in. Of a larger plan a row stands for several tasks in the plan's
# order, a column for several dates.
MOST_ROWS, MOST_COLUMNS = 60, 62
# Dates that a column may stand for: a day, a week, four weeks, a quarter, a year.
ZOOMS = (1, 7, 28, 91, 364)
# Cells that can be hovered and clicked: those with failures first.
MOST_BOXES = 800


@dataclass(frozen=True, slots=True)
class HeatMap:
    """The picture, and what a row and a column of it stand for, in words."""

    drawing: SafeString
    zoom: str


def heat_map(plan: Plan, lines: Sequence[Mapping[str, Any]], list_url: str) -> HeatMap | None:
    """Return the picture of a submitted plan; None of a draft. One query.

    lines: the plan's tasks in its order; those that are hidden have no cells. list_url: the list of
    the plan's instances, with a query.
    """
    if plan.batch_id is None or not lines:
        return None
    days = sorted(day - ONE_DAY for day in planned_days(PlanSpec.from_mapping(plan.spec)))
    columns = in_parts(days, zoom_of(len(days)))
    rows = in_parts(lines, -(-len(lines) // MOST_ROWS))
    names = [_row_name(row) for row in rows]
    spans = [(column[0], column[-1]) for column in columns]
    counts = _counts(plan, rows, [first for first, _ in spans])
    return HeatMap(
        drawing=draw_heat_map(
            [Heading(name, _url(row)) for name, row in zip(names, rows, strict=True)],
            [_column_name(list_url, *span) for span in spans],
            _cells(counts, rows, names, spans),
            label=_("Tasks and data dates"),
        ),
        zoom=_zoom_words(len(rows[0]), len(columns[0])),
    )


def zoom_of(days: int) -> int:
    """Return how many dates a column stands for."""
    return next((zoom for zoom in ZOOMS if days <= zoom * MOST_COLUMNS), -(-days // MOST_COLUMNS))


def in_parts(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """Return the items in parts of the size, the last one shorter."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def _counts(
    plan: Plan, rows: Sequence[Sequence[Mapping[str, Any]]], starts: Sequence[date]
) -> dict[tuple[int, int], dict[State, int]]:
    """Return {(row, column): instances of each state}, counted by the database."""
    row_of = {
        line["task_id"]: number
        for number, row in enumerate(rows)
        for line in row
        if not line["hidden"]
    }
    counts: dict[tuple[int, int], dict[State, int]] = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT shown.row, width_bucket(made.data_date, %s::date[]) - 1, made.state,
                sum(made.number)::int
            FROM (
                SELECT i.task_id, i.data_date, i.state, count(*) AS number
                FROM instances_instance i WHERE i.batch_id = %s GROUP BY 1, 2, 3
            ) AS made
            JOIN unnest(%s::bigint[], %s::int[]) AS shown (task_id, row) USING (task_id)
            GROUP BY 1, 2, 3
            """,
            [list(starts), plan.batch_id, list(row_of), list(row_of.values())],
        )
        for row, column, state, number in cursor.fetchall():
            counts[row, column][State(state)] = number
    return counts


def _cells(
    counts: Mapping[tuple[int, int], Mapping[State, int]],
    rows: Sequence[Sequence[Mapping[str, Any]]],
    names: Sequence[str],
    spans: Sequence[tuple[date, date]],
) -> list[Cell]:
    # What a person has to know first is what can be hovered when not all can.
    urgent = sorted(
        counts, key=lambda at: (State.FAILED not in counts[at], _is_done(counts[at]), at)
    )
    boxed = set(urgent[:MOST_BOXES])
    cells = []
    for at in sorted(counts):
        row, column = at
        made, (first, last) = counts[at], spans[column]
        spelled = listed(
            _("{count} {state}").format(count=thousands(made[state]), state=state.label.lower())
            for state in PROGRESS_ORDER
            if state in made
        )
        query = urlencode({"data_time_from": first, "data_time_until": last})
        cells.append(
            Cell(
                row,
                column,
                tuple((tone_of(s.value), made[s]) for s in PROGRESS_ORDER if s in made),
                f"{names[row]} · {_dates(first, last)}: {spelled}" if at in boxed else "",
                f"{_url(rows[row])}&{query}" if at in boxed else "",
            )
        )
    return cells


def _is_done(made: Mapping[State, int]) -> bool:
    return set(made) <= {State.SUCCESS, State.NOT_RUN}


def _row_name(row: Sequence[Mapping[str, Any]]) -> str:
    return f"{row[0]['name']} + {len(row) - 1}" if len(row) > 1 else str(row[0]["name"])


def _url(row: Sequence[Mapping[str, Any]]) -> str:
    """The list of the instances of a row's tasks."""
    more = "".join(f"&task={line['task_id']}" for line in row[1:])
    return f"{row[0]['url']}{more}"


def _column_name(list_url: str, first: date, last: date) -> Heading:
    query = urlencode({"data_time_from": first, "data_time_until": last})
    return Heading(f"{first}", f"{list_url}&{query}", _dates(first, last))


def _dates(first: date, last: date) -> str:
    return f"{first}" if first == last else f"{first} – {last}"


def _zoom_words(tasks: int, days: int) -> str:
    parts = []
    if days > 1:
        parts.append(_("each column is {count} data dates").format(count=days))
    if tasks > 1:
        row = _("each row is {count} tasks in the plan's order")
        parts.append(row.format(count=tasks))
    return listed(parts)
