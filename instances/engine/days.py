"""The days of batches that run day by day: which are open, and when the next one opens (B10).

A batch's days are cut into lanes. The first day of each lane is open from the start, and the next
one opens when the present one is *done*: all that is planned on it was made, and no instance of it
is other than SUCCESS. What is open stays open, also when work of an earlier day is run again.

Nobody holds a lock while looking. Whoever changes something that may make a day done (a success,
the last instance made) looks after the commit of the change, so that of two who change at once the
later one sees both; `open_next` is guarded, so a day opens once. The engine drives this, and the
sweep looks at the days that are going on, should somebody have died before looking.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from django.db import connection

from instances.ground.prepared import prepared_cursor
from projects.ground.bulk import copy_rows
from projects.ground.sql import column

# Instances let go on in one transaction.
RELEASED_AT_ONCE = 2_000

# SQL, for a day `d`: it goes on, that is, it is open and the next one is not, on its account.
_GOING_ON = "d.opened_at IS NOT NULL AND d.done_at IS NULL"
# SQL, for a day `d`: instances of it still have to be let go on.
_AWAITED = """EXISTS (
            SELECT FROM instances_instance i WHERE i.day_id = d.id AND i.awaits_day
        )"""
# SQL, for a day `d`: the rule. What is other than SUCCESS stands before or after it in the index:
# two steps, however many instances the day has.
_DONE = f"""d.made_at IS NOT NULL AND NOT {_AWAITED} AND NOT EXISTS (
            SELECT FROM instances_instance i WHERE i.day_id = d.id AND i.state < 'SUCCESS'
        ) AND NOT EXISTS (
            SELECT FROM instances_instance i WHERE i.day_id = d.id AND i.state > 'SUCCESS'
        )"""


@dataclass(frozen=True, slots=True)
class Look:
    """Days with something to do. awaited: instances are to be let go on. done: the next may open.

    In id order.
    """

    awaited: list[int]
    done: list[int]


def make_days(batch_id: int, lanes: Iterable[Sequence[date]], *, now: datetime) -> None:
    """Make the days of a batch, lane by lane in their order; the first of each lane is open."""
    copy_rows(
        "instances_batchday",
        ("batch_id", "lane", "position", "day", "opened_at"),
        (
            (batch_id, number, position, day, None if position else now)
            for number, lane in enumerate(lanes, 1)
            for position, day in enumerate(lane)
        ),
    )


def mark_made(day_ids: Iterable[int], *, now: datetime) -> None:
    """Note that all that is planned on the days was made. Call last in the transaction of that.

    After its commit `engine.go_on_with_days` has to look at them.
    """
    listed = list(day_ids)
    if listed:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE instances_batchday SET made_at = %s WHERE id = ANY(%s) AND made_at IS NULL",
                [now, listed],
            )


def closed_among(day_ids: Iterable[int]) -> set[int]:
    """Return those of the days that are not open; they may be at the next moment."""
    listed = list(day_ids)
    if not listed:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM instances_batchday WHERE id = ANY(%s) AND opened_at IS NULL", [listed]
        )
        return set(column(cursor))


def look_at(day_ids: Iterable[int]) -> Look:
    """Return what is to be done about the days."""
    with prepared_cursor() as cursor:
        cursor.execute(
            f"SELECT d.id, {_AWAITED}, {_DONE} FROM instances_batchday d"
            f" WHERE d.id = ANY(%s) AND {_GOING_ON} ORDER BY d.id",
            [list(day_ids)],
        )
        rows = cursor.fetchall()
    return Look(
        [pk for pk, awaited, _ in rows if awaited], [pk for pk, _, is_done in rows if is_done]
    )


def open_next(day_id: int, *, now: datetime) -> list[int]:
    """Open the day after one that is done; return it, or nothing when it was the last of its lane.

    Nothing also when the day is not done, or somebody else was first.
    """
    with prepared_cursor() as cursor:
        cursor.execute(
            f"""
            WITH done AS (
                UPDATE instances_batchday AS d SET done_at = %s
                WHERE d.id = %s AND {_GOING_ON} AND {_DONE}
                RETURNING d.batch_id, d.lane, d.position
            )
            UPDATE instances_batchday AS n SET opened_at = %s FROM done
            WHERE n.batch_id = done.batch_id AND n.lane = done.lane
                AND n.position = done.position + 1 AND n.opened_at IS NULL
            RETURNING n.id
            """,
            [now, day_id, now],
        )
        return column(cursor)


def awaiting(day_id: int) -> list[int]:
    """Return the next instances to be let go on now that their day is open, whatever their state.

    A state would be judged by what was committed before: an operator may be changing it.
    """
    with prepared_cursor() as cursor:
        cursor.execute(
            "SELECT id FROM instances_instance WHERE day_id = %s AND awaits_day"
            " ORDER BY id LIMIT %s",
            [day_id, RELEASED_AT_ONCE],
        )
        return column(cursor)


def going_on(*, after: int, limit: int) -> list[int]:
    """Return the days that go on with an id above `after`, in id order."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT d.id FROM instances_batchday d WHERE d.id > %s AND {_GOING_ON}"
            " ORDER BY d.id LIMIT %s",
            [after, limit],
        )
        return column(cursor)
