"""What a connection has seen of the groups' queues, so that it does not step over it again.

What was ready, sent or running and is no more leaves dead entries in the indexes over such rows.
Vacuum removes them, but none that is younger than the oldest open transaction: a dump, a report, a
psql that somebody forgot. Who reads such an index from its beginning then steps over all that was
done meanwhile. So nobody begins there twice: a connection remembers what it found, and by what to
tell that something is new (docs/decisions/old-snapshots.md).

- *Executions.* Those of a group get their ids inside the group's lock, so they are committed in the
  order of their ids; and one that has ended never lives again.
- *Ready instances.* Who becomes ready notes its transaction. All transactions below the oldest one
  that was under way at a look were seen by that look, or came to nothing.

Memory is no truth: what is remembered is read again each time, and who remembers nothing finds the
same by reading from the beginning. It is of committed reads alone, and ends with its connection: at
the end of another one there may be a database that has lost something.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from django.conf import settings
from django.db import connection, transaction

from instances.ground.prepared import prepared_cursor
from instances.holds.listed import MAY_START
from instances.holds.slots import FILLS, FILLS_STILL

# A place in the order of what is ready: -priority, sort key, planned time, id.
Place = tuple[int, int, datetime, int]
_BEGINNING: Place = (-32_768, -(2**31), datetime(1, 1, 1, tzinfo=UTC), 0)
ORDER = "i.priority * -1, i.sort_key, i.scheduled_at, i.id"

# Ready instances of a group that a connection remembers, and reads anew at each look.
MOST_KEPT = 1_000
# Read at least when the remembered ones are used up.
_PAGE = 200
_NO_TRANSACTION = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Ready:
    """A ready instance. has_limit: its task has a limit of its own, by now."""

    id: int
    task_id: int
    place: Place
    has_limit: bool
    may_start: bool


@dataclass(frozen=True, slots=True)
class _Live:
    """The executions of a group that were live, and the id up to which there are no others."""

    ids: list[int] = field(default_factory=list)
    until: int = 0


@dataclass(frozen=True, slots=True)
class _ReadyList:
    """The ready instances of a group up to a place, as transactions before `since` left them.

    after: nothing is known of what comes after this place; None: there was nothing.
    """

    ids: list[int] = field(default_factory=list)
    since: int = _NO_TRANSACTION
    after: Place | None = _BEGINNING


@dataclass(slots=True)
class _Memory:
    live: dict[int, _Live] = field(default_factory=dict)  # by group id
    ready: dict[int, _ReadyList] = field(default_factory=dict)  # by group id
    sent_from: dict[str, int] = field(default_factory=dict)  # by group name


_memories: WeakKeyDictionary[Any, _Memory] = WeakKeyDictionary()


def _memory() -> _Memory:
    connection.ensure_connection()
    found = _memories.get(connection.connection)
    if settings.DATABASE_POOLER:
        return _Memory()  # behind it the database may become another while the connection stays
    if found is None:
        found = _memories[connection.connection] = _Memory()
    return found


# The newest id: before the first one the sequence stands on it already. It is read after the
# statement's snapshot was taken; with the group locked nobody makes an execution of it in between.
_NEWEST = "made.last_value - (NOT made.is_called)::int"
_LIVE = f"""
    SELECT {_NEWEST}, live.id FROM instances_execution_id_seq made LEFT JOIN (
        SELECT x.id FROM instances_execution x
        WHERE x.resource_group_id = %(group)s AND {FILLS}
    ) live ON true"""
# The same from what is remembered. Live by another column, so that no index over what is live is
# read; with both bounds, so that the planner expects few.
_STILL_LIVE = f"""
    SELECT {_NEWEST}, live.id FROM instances_execution_id_seq made LEFT JOIN (
        SELECT x.id FROM instances_execution x WHERE x.id = ANY(%(ids)s) AND {FILLS_STILL}
        UNION ALL
        SELECT x.id FROM instances_execution x WHERE x.resource_group_id = %(group)s
            AND x.id > %(until)s AND x.id < {_NO_TRANSACTION} AND {FILLS_STILL}
    ) live ON true"""


def live_executions(group_id: int) -> list[int]:
    """Return the executions that use a slot of the group. Call with the group locked."""
    memory = _memory()
    seen = memory.live.get(group_id, _Live())
    while True:
        with prepared_cursor() as cursor:
            cursor.execute(
                _STILL_LIVE if seen.until else _LIVE,
                {"ids": seen.ids, "group": group_id, "until": seen.until},
            )
            rows = cursor.fetchall()
        until = rows[0][0]
        if until >= seen.until:
            break
        seen = _Live()  # ids went back: another database
    ids = [pk for _, pk in rows if pk is not None]
    transaction.on_commit(partial(memory.live.__setitem__, group_id, _Live(ids, until)))
    return ids


_COLUMNS = f"""i.id, i.task_id, i.priority * -1, i.sort_key, i.scheduled_at,
        t.max_parallel IS NOT NULL, {MAY_START}"""
_JOINED = """i JOIN workflows_task t ON t.id = i.task_id
    LEFT JOIN instances_batch b ON b.id = i.batch_id"""
_IN_LIST = """i.resource_group_id = %(group)s AND i.state = 'WAITING_EXECUTION'
            AND i.dispatched_at IS NULL AND NOT i.limited"""

# What is left of the remembered ones, and what became ready since. With it the oldest transaction
# that is under way now, and whether something is ready of a task with a limit of its own.
# Step by step, each by one index: it is planned once for all numbers of them, and where it expects
# many the planner would rather read the table, for what EXISTS asks as well.
_KNOWN = f"""
    SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint, (
        SELECT true FROM instances_instance l WHERE l.resource_group_id = %(group)s
            AND l.state = 'WAITING_EXECUTION' AND l.dispatched_at IS NULL AND l.limited
        ORDER BY l.task_id, l.priority * -1 LIMIT 1
    ) IS TRUE, known.* FROM (SELECT) now
    LEFT JOIN (
        SELECT {_COLUMNS} FROM (
            SELECT unnest(%(ids)s::bigint[]) AS id
            UNION
            SELECT i.id FROM instances_instance i WHERE {_IN_LIST} AND i.ready_xid > 0
                AND i.ready_xid >= %(since)s AND i.ready_xid < {_NO_TRANSACTION}
        ) listed CROSS JOIN LATERAL (
            SELECT i.* FROM instances_instance i WHERE i.id = listed.id AND {_IN_LIST} OFFSET 0
        ) {_JOINED}
        ORDER BY {ORDER}
    ) known ON true"""
_AFTER = f"""
    SELECT {_COLUMNS} FROM instances_instance {_JOINED} WHERE {_IN_LIST} AND i.sort_key >= 0
        AND ({ORDER}) > (%(urgency)s, %(key)s, %(at)s, %(id)s)
    ORDER BY {ORDER} LIMIT %(most)s"""


def first_ready(group_id: int, *, most: int) -> tuple[list[Ready], bool]:
    """Return ready instances of the group that may start, in order: `most` at least if there are.

    Those of tasks with a limit stand in lists of their own, unless they got it since; and whether
    anything stands in those.
    """
    memory = _memory()
    seen = memory.ready.get(group_id, _ReadyList())
    while True:
        rows, oldest, has_limited = _known(group_id, seen)
        if seen.since == _NO_TRANSACTION or oldest >= seen.since:
            break
        seen = _ReadyList()  # transactions went back: another database
    after = seen.after
    rows = [row for row in rows if after is None or row.place <= after]
    number, page_size = sum(row.may_start for row in rows), max(most, _PAGE)
    while after is not None and number < most:
        page = _after(group_id, after, page_size)
        number += sum(row.may_start for row in page)
        # Of what is remembered; beyond it those alone that may start.
        room = max(MOST_KEPT + 1 - len(rows), 0)
        rows += page[:room] + [row for row in page[room:] if row.may_start]
        after = page[-1].place if len(page) == page_size else None
        page_size *= 2  # paused work may stand in front for a moment
    if len(rows) > MOST_KEPT:
        after = rows[MOST_KEPT - 1].place
    kept = _ReadyList([row.id for row in rows[:MOST_KEPT]], oldest, after)
    transaction.on_commit(partial(memory.ready.__setitem__, group_id, kept))
    return [row for row in rows if row.may_start], has_limited


def _known(group_id: int, seen: _ReadyList) -> tuple[list[Ready], int, bool]:
    with prepared_cursor() as cursor:
        cursor.execute(_KNOWN, {"group": group_id, "ids": seen.ids, "since": seen.since})
        rows = cursor.fetchall()
    oldest, has_limited = rows[0][:2]
    return [_ready(row[2:]) for row in rows if row[2] is not None], oldest, has_limited


def _after(group_id: int, place: Place, most: int) -> list[Ready]:
    names: dict[str, Any] = dict(zip(("urgency", "key", "at", "id"), place, strict=True))
    with prepared_cursor() as cursor:
        cursor.execute(_AFTER, {"group": group_id, "most": most, **names})
        return [_ready(row) for row in cursor.fetchall()]


def _ready(row: tuple[Any, ...]) -> Ready:
    pk, task_id, urgency, key, at, has_limit, may_start = row
    return Ready(pk, task_id, (urgency, key, at, pk), has_limit, may_start)


# For an execution `x`: it was SENT, at an id or after it. By other columns, as no index over what
# is live must be read from its beginning; and with both bounds, so that few are expected.
SENT_SINCE = f"x.started_at IS NULL AND x.ended_at IS NULL AND x.id < {_NO_TRANSACTION} AND x.id >="
# By group, its first sent execution, or where the next one would come: after its newest one.
_SENT_FROM = """
    SELECT g.name, coalesce((
        SELECT x.id FROM instances_execution x WHERE x.resource_group_id = g.id AND %s
        ORDER BY x.id LIMIT 1
    ), (
        SELECT newest.id + 1 FROM (
            SELECT x.resource_group_id, x.id FROM instances_execution x
            WHERE x.resource_group_id <= g.id ORDER BY x.resource_group_id DESC, x.id DESC LIMIT 1
        ) newest WHERE newest.resource_group_id = g.id
    ), 1)
    FROM unnest(%%(names)s::text[], %%(ids)s::bigint[]) AS seen (name, id)
    JOIN projects_resourcegroup g ON g.name = seen.name"""
_FROM_BEGINNING = _SENT_FROM % "x.state = 'SENT'"
_FROM_THERE = _SENT_FROM % f"{SENT_SINCE} seen.id"


def sent_from(groups: Iterable[str]) -> dict[str, int]:
    """Return, by group, an execution id below which nothing of it waits to be claimed."""
    known = _memory().sent_from
    names = list(groups)
    unknown = [name for name in names if name not in known]
    found = _look(_FROM_BEGINNING, dict.fromkeys(unknown, 0)) if unknown else {}
    return {name: known.get(name) or found.get(name, 0) for name in names}


def note_sent_from(found: Mapping[str, int]) -> None:
    """Remember, by group, the first execution that waits to be claimed, once this is committed."""
    transaction.on_commit(partial(_memory().sent_from.update, dict(found)))


def look_where_sent(groups: Mapping[str, int]) -> None:
    """Find and remember where what is sent begins by now. groups: what was known."""
    _look(_FROM_THERE, groups)


def _look(query: str, groups: Mapping[str, int]) -> dict[str, int]:
    with prepared_cursor() as cursor:
        cursor.execute(query, {"names": list(groups), "ids": list(groups.values())})
        found = dict(cursor.fetchall())
    note_sent_from(found)
    return found
