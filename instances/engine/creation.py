"""Creation: new instances with their edges, by COPY, for generation and expansion alike.

Instances that wait for others made with them are made WAITING_UPSTREAM: what nobody sees yet cannot
have succeeded. All others are made NOT_RUN; `engine.set_going` takes them from there, and
`engine.go_on_with_days` those whose day is not open.

Statements here walk from a list of slots or instances, LATERAL by LATERAL, each step one index:
there is no join whose order PostgreSQL could choose by statistics that are missing or old, as they
are while a large plan is being made. What is found is written by id in a statement of its own, for
which PostgreSQL knows the number of rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from functools import partial
from itertools import islice
from typing import NamedTuple

from django.db import connection, transaction

from instances.ground.statistics import refresh_statistics
from instances.states import Kind, State
from projects.ground.sql import column

Slot = tuple[int, datetime]  # (task id, scheduled_at)

_LINES_AT_ONCE = 500
# Rows made at once that may change what PostgreSQL should know of the tables.
_BULK = 1_000
_NULL = "\\N"


class NewEdge(NamedTuple):
    """The new instance waits for this slot; see Edge.within_batch.

    removed: an operator removed this dependency of the slot before; it is kept and does not block.
    """

    upstream_task_id: int
    upstream_scheduled_at: datetime
    within_batch: bool
    removed: bool = False


class NewInstance(NamedTuple):
    """An instance to be made, all columns decided.

    A tuple, as its edges are: they are made by the hundred thousand.
    """

    project_id: int
    task_id: int
    version_id: int
    resource_group_id: int
    kind: Kind
    scheduled_at: datetime
    data_date: date
    local_time: time
    priority: int
    sort_key: int
    retry_limit: int
    inline: bool
    dry: bool
    not_before: datetime
    day_id: int | None = None  # a BatchDay, in a batch that runs day by day
    awaits_day: bool = False  # its day is not open: engine.go_on_with_days lets it go on
    edges: tuple[NewEdge, ...] = ()

    @property
    def slot(self) -> Slot:
        return self.task_id, self.scheduled_at


_INSTANCE_COLUMNS = (
    "id",
    "project_id",
    "task_id",
    "version_id",
    "batch_id",
    "day_id",
    "awaits_day",
    "kind",
    "scheduled_at",
    "data_date",
    "local_time",
    "state",
    "error_code",
    "error_message",
    "dry",
    "inline",
    "resource_group_id",
    "priority",
    "sort_key",
    "retry_limit",
    "retry_count",
    "lost_count",
    "total_runs",
    "parameters",
    "not_before",
    "waiting_since",
    "created_at",
)
_EDGE_COLUMNS = (
    "instance_id",
    "upstream_task_id",
    "upstream_scheduled_at",
    "upstream_id",
    "within_batch",
    "removed_at",
)


def create_instances(
    rows: Sequence[NewInstance], *, now: datetime, batch_id: int | None
) -> list[int]:
    """Make the instances and their edges; return the ids in the order of `rows`.

    Call inside the transaction that guards against making a slot twice (the task's row for
    generation, the plan's for expansion). A constant number of queries.
    """
    if not rows:
        return []
    ids = _reserve_ids(len(rows))
    blocked = waiting_for_each_other(rows, batch_id=batch_id)
    _copy(
        "instances_instance",
        _INSTANCE_COLUMNS,
        _instance_lines(ids, rows, blocked, batch_id=batch_id, now=now),
    )
    made = {(row.task_id, row.scheduled_at): pk for pk, row in zip(ids, rows, strict=True)}
    found = _find_upstreams(rows, made, batch_id)
    unresolved: list[int] = []
    _copy("instances_edge", _EDGE_COLUMNS, _edge_lines(ids, rows, found, unresolved, now=now))
    _resolve_edges(made, batch_id)
    transaction.on_commit(partial(_look_again, made, unresolved, batch_id))
    if len(rows) + sum(len(row.edges) for row in rows) >= _BULK:
        transaction.on_commit(refresh_statistics, robust=True)
    return ids


def with_removals(rows: Sequence[NewInstance]) -> Sequence[NewInstance]:
    """Mark the edges that an operator removed from their slots before (I7). One query."""
    if not rows:
        return rows
    times = [row.scheduled_at for row in rows]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT task_id, scheduled_at, upstream_task_id, upstream_scheduled_at"
            " FROM instances_removeddependency"
            " WHERE task_id = ANY(%s) AND scheduled_at BETWEEN %s AND %s",
            [list({row.task_id for row in rows}), min(times), max(times)],
        )
        removed = set(cursor.fetchall())
    if not removed:
        return rows
    return [
        row._replace(
            edges=tuple(
                edge._replace(
                    removed=(*row.slot, edge.upstream_task_id, edge.upstream_scheduled_at)
                    in removed
                )
                for edge in row.edges
            )
        )
        for row in rows
    ]


def waiting_for_each_other(rows: Sequence[NewInstance], *, batch_id: int | None) -> list[bool]:
    """For each row: does it wait for another of them? Then there is no need to look at it yet."""
    slots = {(row.task_id, row.scheduled_at) for row in rows}
    inside = batch_id is not None
    return [
        any(
            within is inside and not removed and (task_id, at) in slots
            for task_id, at, within, removed in row.edges
        )
        for row in rows
    ]


def _look_again(made: Mapping[Slot, int], unresolved: list[int], batch_id: int | None) -> None:
    """Point edges between instances that were made at the same moment, each unseen by the other.

    Each looks after its commit, so the later one sees both. Should it die in between, the sweep
    does this.
    """
    resolve_edges_of(unresolved)
    if batch_id is None:  # a plan is expanded by one transaction at a time
        _resolve_edges(made, batch_id)


def resolve_edges_of(ids: Iterable[int]) -> None:
    """Point the unresolved edges of the instances at upstreams that are there by now."""
    listed = list(ids)
    if not listed:
        return
    with connection.cursor() as cursor:
        # Many wait for the same slot: each is looked up once.
        cursor.execute(
            """
            SELECT unnest(slot.edge_ids), u.id
            FROM (
                SELECT e.upstream_task_id, e.upstream_scheduled_at, e.within_batch, e.batch_id,
                    array_agg(e.id) AS edge_ids
                FROM unnest(%s::bigint[]) AS w (id)
                CROSS JOIN LATERAL (
                    SELECT x.*,
                        (SELECT i.batch_id FROM instances_instance i WHERE i.id = w.id) AS batch_id
                    FROM instances_edge x
                    WHERE x.instance_id = w.id AND x.upstream_id IS NULL AND x.removed_at IS NULL
                    OFFSET 0
                ) e
                GROUP BY 1, 2, 3, 4
            ) slot
            CROSS JOIN LATERAL (
                SELECT o.id FROM instances_instance o
                WHERE o.task_id = slot.upstream_task_id
                    AND o.scheduled_at = slot.upstream_scheduled_at
                    AND CASE WHEN slot.within_batch THEN o.batch_id = slot.batch_id
                        ELSE o.batch_id IS NULL OR o.state = 'SUCCESS' END
                ORDER BY o.batch_id IS NOT NULL, o.id DESC LIMIT 1
            ) u
            """,
            [listed],
        )
        _point(cursor.fetchall())


def _point(pairs: Sequence[tuple[int, int]]) -> None:
    """Point edges that have no upstream at one; (edge, upstream) pairs."""
    if not pairs:
        return
    edge_ids, upstream_ids = map(list, zip(*pairs, strict=True))
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE instances_edge AS e SET upstream_id = p.upstream_id"
            " FROM unnest(%s::bigint[], %s::bigint[]) AS p (id, upstream_id)"
            " WHERE e.id = p.id AND e.upstream_id IS NULL",
            [edge_ids, upstream_ids],
        )


def _reserve_ids(count: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence('instances_instance', 'id'))"
            " FROM generate_series(1, %s)",
            [count],
        )
        return column(cursor)


def _copy(table: str, columns: Sequence[str], lines: Iterable[str]) -> None:
    """COPY lines in PostgreSQL's text format.

    Whoever makes them has nothing to escape: numbers, instants and words of our own.
    """
    left = iter(lines)
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy,
    ):
        while block := "".join(islice(left, _LINES_AT_ONCE)):
            copy.write(block)


def _instance_lines(
    ids: Sequence[int],
    rows: Sequence[NewInstance],
    blocked: Sequence[bool],
    *,
    batch_id: int | None,
    now: datetime,
) -> Iterator[str]:
    """Yield the lines of the rows, in the order of _INSTANCE_COLUMNS."""
    batch = _NULL if batch_id is None else batch_id
    made_at, text = str(now), _Texts()
    waiting, not_run = State.WAITING_UPSTREAM.value, State.NOT_RUN.value
    for pk, row, is_blocked in zip(ids, rows, blocked, strict=True):
        waits = is_blocked and row.not_before <= now and not row.awaits_day
        day = _NULL if row.day_id is None else row.day_id
        yield (
            f"{pk}\t{row.project_id}\t{row.task_id}\t{row.version_id}\t{batch}"
            f"\t{day}\t{row.awaits_day}\t{row.kind._value_}"
            f"\t{text[row.scheduled_at]}\t{text[row.data_date]}\t{text[row.local_time]}"
            f"\t{waiting if waits else not_run}\t\t\t{row.dry}\t{row.inline}"
            f"\t{row.resource_group_id}\t{row.priority}\t{row.sort_key}\t{row.retry_limit}"
            f"\t0\t0\t0\t{{}}\t{text[row.not_before]}\t{made_at}\t{made_at}\n"
        )


class _Texts(dict[date | time, str]):
    """The texts of instants, dates and times: many rows share few of them."""

    def __missing__(self, key: date | time) -> str:
        text = self[key] = str(key)
        return text


def _edge_lines(
    ids: Sequence[int],
    rows: Sequence[NewInstance],
    found: Mapping[tuple[bool, int, datetime], int],
    unresolved: list[int],
    *,
    now: datetime,
) -> Iterator[str]:
    """Yield the lines of the rows' edges, in the order of _EDGE_COLUMNS.

    unresolved: gets the ids of those with an edge whose upstream does not exist.
    """
    text = _Texts()
    for pk, row in zip(ids, rows, strict=True):
        missing = False
        for task_id, at, inside, removed in row.edges:
            upstream: int | str | None = found.get((inside, task_id, at))
            if upstream is None:
                missing, upstream = True, _NULL
            removed_at = now if removed else _NULL
            yield f"{pk}\t{task_id}\t{text[at]}\t{upstream}\t{inside}\t{removed_at}\n"
        if missing:
            unresolved.append(pk)


def _find_upstreams(
    rows: Sequence[NewInstance], made: dict[Slot, int], batch_id: int | None
) -> dict[tuple[bool, int, datetime], int]:
    """Return {(within batch, upstream slot): instance id} for the upstreams that exist."""
    in_batch: set[Slot] = set()
    outside: set[Slot] = set()
    for row in rows:
        for task_id, at, inside, _ in row.edges:
            (in_batch if inside else outside).add((task_id, at))
    found: dict[tuple[bool, int, datetime], int] = {
        (True, *slot): made[slot] for slot in in_batch & made.keys()
    }
    earlier = in_batch - made.keys()
    if earlier:
        query = "SELECT o.id FROM instances_instance o WHERE o.batch_id = %s AND {slot} LIMIT 1"
        found |= {(True, *row[:2]): row[2] for row in _by_slot(query, earlier, batch_id)}
    if batch_id is None:  # periodic work may wait for periodic work made beside it
        found |= {(False, *slot): made[slot] for slot in outside & made.keys()}
        outside -= made.keys()
    if outside:
        # The periodic instance of the slot; where there is none, the last plan that filled it.
        query = (
            "SELECT o.id FROM instances_instance o"
            " WHERE {slot} AND (o.batch_id IS NULL OR o.state = 'SUCCESS')"
            " ORDER BY o.batch_id IS NOT NULL, o.id DESC LIMIT 1"
        )
        found |= {(False, *row[:2]): row[2] for row in _by_slot(query, outside)}
    return found


def _by_slot(
    query: str, slots: Iterable[Slot], *arguments: int | None
) -> list[tuple[int, datetime, int]]:
    """Return what `query` finds for each slot, with the slot."""
    task_ids, times = map(list, zip(*slots, strict=True))
    one = query.format(slot="o.task_id = s.task_id AND o.scheduled_at = s.scheduled_at")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT s.task_id, s.scheduled_at, found.id"
            " FROM unnest(%s::bigint[], %s::timestamptz[]) AS s (task_id, scheduled_at)"
            f" CROSS JOIN LATERAL ({one}) found",
            [task_ids, times, *arguments],
        )
        return list(cursor.fetchall())


def _resolve_edges(made: Mapping[Slot, int], batch_id: int | None) -> None:
    """Point the edges that waited for one of the new instances to exist at it."""
    owner = (
        "NOT x.within_batch"
        if batch_id is None
        else "x.within_batch AND %s ="
        " (SELECT w.batch_id FROM instances_instance w WHERE w.id = x.instance_id)"
    )
    task_ids, times = map(list, zip(*made, strict=True))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT e.id, s.id"
            " FROM unnest(%s::bigint[], %s::timestamptz[], %s::bigint[])"
            " AS s (task_id, scheduled_at, id)"
            " CROSS JOIN LATERAL (SELECT x.id FROM instances_edge x"
            " WHERE x.upstream_task_id = s.task_id AND x.upstream_scheduled_at = s.scheduled_at"
            f" AND x.upstream_id IS NULL AND {owner} OFFSET 0) e",
            [task_ids, times, list(made.values()), *([] if batch_id is None else [batch_id])],
        )
        _point(cursor.fetchall())
