"""Retention: finished instances go when their project keeps them no longer (R1, R4).

A batch is one short transaction: its instances with their edges, executions and logs. Batches are
sized by the time they take, and between two of them the verb rests, so that the work of the day
goes on beside it. Newest first among what is expired: downstream ended after upstream, so that
mostly nobody is left who would have to forget an upstream.

What somebody unfinished waits for stays. An edge of somebody finished to a success that goes is
removed with it: were it run again, the slot would not come again. One to a failure stays, and then
blocks: nothing may start because its upstream was forgotten. A backfill of that time, or removing
the dependency, lets it go on, and "Why is it waiting?" says so.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction

from instances.holds.listed import NOT_NEEDED
from instances.states import FINISHED
from projects.ground.bulk import repeat_on_deadlock
from projects.ground.sql import column

# A batch is made smaller when it takes longer than this, and larger when it takes half of it.
TARGET_SECONDS = 0.05
FIRST_BATCH, LARGEST_BATCH = 200, 5_000
# How long to rest between two batches, in times of what the last one took.
REST = 3.0
# Instances looked at by one statement: however many there are, none reaches its bound.
_LOOKED_AT_ONCE = 20_000

_FINISHED = sorted(state.value for state in FINISHED)

# SQL, for an instance `i` and its project `p`: it is expired. (now)
_EXPIRED = """i.ended_at < %s - make_interval(days => (CASE WHEN i.batch_id IS NULL
    THEN p.periodic_retention_days ELSE p.backfill_retention_days END)::int)"""


@dataclass(frozen=True, slots=True)
class Deleted:
    """Rows that were deleted. longest_batch: seconds of the longest transaction."""

    instances: int = 0
    edges: int = 0
    executions: int = 0
    log_chunks: int = 0
    longest_batch: float = 0.0

    def __add__(self, other: Deleted) -> Deleted:
        mine, theirs = asdict(self), asdict(other)
        longest = max(mine.pop("longest_batch"), theirs.pop("longest_batch"))
        return Deleted(**{name: mine[name] + theirs[name] for name in mine}, longest_batch=longest)


def delete_expired(
    now: datetime,
    *,
    rest: float = REST,
    wait: Callable[[float], object] = time.sleep,
    show: Callable[[Deleted], object] = lambda so_far: None,
) -> Deleted:
    """Delete what is expired at `now`; return what went. Breaking off in between loses nothing.

    rest: seconds to wait after each second of work. wait: called with seconds. show: called after
    each batch. Queries: a constant number a batch, and one for every 20,000 instances that failed,
    or that ended longer ago than the shortest retention of any project.
    """
    total, size = Deleted(), FIRST_BATCH
    for found in _expired(now):
        ids = [pk for pk, _ in found]
        while ids:
            began = time.monotonic()
            total += _delete_batch(ids[:size], now=now)
            seconds = time.monotonic() - began
            total += Deleted(longest_batch=seconds)
            show(total)
            ids = ids[size:]
            if seconds > TARGET_SECONDS:
                size = max(1, size * 2 // 3)
            elif seconds < TARGET_SECONDS / 2:
                size = min(LARGEST_BATCH, size + size // 4 + 1)
            wait(seconds * rest)
    return total


def count_expired(now: datetime) -> dict[str, int]:
    """Return {project: instances that `delete_expired` would look at}, projects in order."""
    counted = Counter(project for found in _expired(now) for _, project in found)
    return dict(sorted(counted.items()))


def _expired(now: datetime) -> Iterator[list[tuple[int, str]]]:
    """Yield expired instances, each once, with their projects' names; late ones before early ones.

    Each walk follows an index, as far as the shortest retention or through all failures: there may
    be very few that are expired among those of projects that keep everything for years.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, least(periodic_retention_days, backfill_retention_days)"
            " FROM projects_project ORDER BY id"
        )
        kept = dict(cursor.fetchall())
    for project_id in kept:
        of_project = "state = 'FAILED' AND project_id > 0 AND project_id = %s"
        yield from _walk(of_project, project_id, by="scheduled_at", now=now)
    shortest = timedelta(days=min(kept.values(), default=0))
    yield from _walk("state = 'SUCCESS' AND ended_at <= %s", now - shortest, by="ended_at", now=now)


def _walk(
    condition: str, argument: datetime | int, *, by: str, now: datetime
) -> Iterator[list[tuple[int, str]]]:
    """Yield what is expired of the instances, a bounded number of them looked at by a statement.

    condition: SQL with one argument. by: the column by which an index orders them.
    """
    last: tuple[datetime | str, int] = ("infinity", 0)
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT i.{by}, i.id, p.name, {_EXPIRED} FROM ("
                "SELECT id, project_id, batch_id, scheduled_at, ended_at FROM instances_instance"
                f" WHERE {condition} AND {by} <= %s AND ({by}, id) < (%s, %s)"
                f" ORDER BY {by} DESC, id DESC LIMIT %s"
                ") i JOIN projects_project p ON p.id = i.project_id"
                f" ORDER BY i.{by} DESC, i.id DESC",
                [now, argument, last[0], *last, _LOOKED_AT_ONCE],
            )
            rows = cursor.fetchall()
        if not rows:
            return
        last = rows[-1][:2]
        yield [(pk, project) for _, pk, project, is_expired in rows if is_expired]


@repeat_on_deadlock
@transaction.atomic
def _delete_batch(ids: list[int], *, now: datetime) -> Deleted:
    """Delete those of the instances that are still expired and not needed."""
    with connection.cursor() as cursor:
        # 1 Lock them, in id order like everybody; one that somebody holds is being operated on.
        cursor.execute(
            "SELECT i.id FROM instances_instance i JOIN projects_project p ON p.id = i.project_id"
            f" WHERE i.id = ANY(%s) AND i.state = ANY(%s) AND {_EXPIRED}"
            " ORDER BY i.id FOR UPDATE OF i SKIP LOCKED",
            [ids, _FINISHED, now],
        )
        locked = column(cursor)
        # 2 In a new statement, who waits for them by now.
        cursor.execute(
            f"SELECT i.id FROM instances_instance i WHERE i.id = ANY(%s) AND {NOT_NEEDED}",
            [locked],
        )
        going = column(cursor)
        if not going:
            return Deleted()
        # 3 Edges first, then up to the instances.
        cursor.execute("DELETE FROM instances_edge WHERE instance_id = ANY(%s)", [going])
        edges = cursor.rowcount
        cursor.execute(
            "UPDATE instances_edge AS e SET upstream_id = NULL, removed_at = CASE"
            " WHEN u.state = 'SUCCESS' THEN coalesce(e.removed_at, %s) ELSE e.removed_at END,"
            " removed_because = CASE WHEN u.state = 'SUCCESS' AND e.removed_at IS NULL"
            " THEN 'EXPIRED' ELSE e.removed_because END"
            " FROM instances_instance u WHERE u.id = e.upstream_id AND e.upstream_id = ANY(%s)",
            [now, going],
        )
        cursor.execute(
            "DELETE FROM instances_logchunk WHERE execution_id IN"
            " (SELECT id FROM instances_execution WHERE instance_id = ANY(%s))",
            [going],
        )
        log_chunks = cursor.rowcount
        cursor.execute("DELETE FROM instances_execution WHERE instance_id = ANY(%s)", [going])
        executions = cursor.rowcount
        cursor.execute("DELETE FROM instances_instance WHERE id = ANY(%s)", [going])
        return Deleted(cursor.rowcount, edges, executions, log_chunks)
