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
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction

from instances.states import FINISHED, UNFINISHED, State
from projects.bulk import repeat_on_deadlock

# A batch is made smaller when it takes longer than this, and larger when it takes half of it.
TARGET_SECONDS = 0.05
FIRST_BATCH, LARGEST_BATCH = 200, 5_000
# How long to rest between two batches, in times of what the last one took.
REST = 3.0
# Ids looked up at a time.
_IDS_AT_ONCE = 20_000

_FINISHED = sorted(state.value for state in FINISHED)

# SQL, for an instance `i` and its project `p`: it is expired. (now)
_EXPIRED = """i.ended_at < %s - make_interval(days => (CASE WHEN i.batch_id IS NULL
    THEN p.periodic_retention_days ELSE p.backfill_retention_days END)::int)"""

_FINISHED_LIST = ", ".join(f"'{state}'" for state in _FINISHED)
# In so many words, for the index on batch and state.
_UNFINISHED_LIST = ", ".join(f"'{state.value}'" for state in sorted(UNFINISHED))

# SQL, for an instance `i`: nobody unfinished waits for it, by an edge or as later days of its batch
# wait for its day: without a failure that holds them back they would start.
_NOT_NEEDED = f"""NOT EXISTS (
    SELECT FROM instances_edge e JOIN instances_instance d ON d.id = e.instance_id
    WHERE e.upstream_id = i.id AND e.removed_at IS NULL
        AND d.state NOT IN ({_FINISHED_LIST}))
    AND NOT EXISTS (
    SELECT FROM instances_batchday d JOIN instances_instance o ON o.batch_id = d.batch_id
    WHERE d.id = i.day_id AND d.done_at IS NULL AND o.state IN ({_UNFINISHED_LIST}))"""


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
    each batch. Queries: a constant number a batch, none of them on what is not yet expired.
    """
    total, size = Deleted(), FIRST_BATCH
    for ids in _expired_ids(now):
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
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT p.name, count(*) FROM instances_instance i"
            " JOIN projects_project p ON p.id = i.project_id"
            f" WHERE i.state = ANY(%s) AND {_EXPIRED} GROUP BY p.name ORDER BY p.name",
            [_FINISHED, now],
        )
        return dict(cursor.fetchall())


def _expired_ids(now: datetime) -> Iterator[list[int]]:
    """Yield the ids of expired instances, those that ended last first, each once."""
    shortest = _shortest_retention()
    for state in (State.FAILED, State.SUCCESS):
        last: tuple[datetime, int] = (now - shortest, 0)
        while True:
            with connection.cursor() as cursor:
                cursor.execute(
                    # A state of its own for each, so that its index on ended_at serves.
                    "SELECT i.ended_at, i.id FROM instances_instance i"
                    " JOIN projects_project p ON p.id = i.project_id"
                    f" WHERE i.state = '{state.value}' AND i.ended_at <= %s"
                    f" AND (i.ended_at, i.id) < (%s, %s) AND {_EXPIRED}"
                    " ORDER BY i.ended_at DESC, i.id DESC LIMIT %s",
                    [last[0], *last, now, _IDS_AT_ONCE],
                )
                rows = cursor.fetchall()
            if not rows:
                break
            last = rows[-1]
            yield [pk for _, pk in rows]


def _shortest_retention() -> timedelta:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT min(least(periodic_retention_days, backfill_retention_days))"
            " FROM projects_project"
        )
        return timedelta(days=cursor.fetchone()[0] or 0)


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
        locked = [row[0] for row in cursor.fetchall()]
        # 2 In a new statement, who waits for them by now.
        cursor.execute(
            f"SELECT i.id FROM instances_instance i WHERE i.id = ANY(%s) AND {_NOT_NEEDED}",
            [locked],
        )
        going = [row[0] for row in cursor.fetchall()]
        if not going:
            return Deleted()
        # 3 Edges first, then up to the instances.
        cursor.execute("DELETE FROM instances_edge WHERE instance_id = ANY(%s)", [going])
        edges = cursor.rowcount
        cursor.execute(
            "UPDATE instances_edge AS e SET upstream_id = NULL, removed_at = CASE"
            " WHEN u.state = 'SUCCESS' THEN coalesce(e.removed_at, %s) ELSE e.removed_at END"
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
