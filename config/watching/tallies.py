"""Counting what ended since the last look: executions by group and end, how long they waited.

It reads executions by id from where it stopped, and again those that had not ended by then: never
more than ended meanwhile and there are slots, however many executions there are.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction

from config.models import TallyPosition
from config.watching.totals import TotalKey, add
from instances.error_codes import ErrorCode
from instances.holds.slots import FILLS

# Executions read at a time.
BATCH_SIZE = 20_000
# Rows younger than this may follow rows that are not committed yet.
LAG = timedelta(seconds=20)
# Upper bounds of the histogram of dispatch latency, in seconds.
BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
_POSITION = 1

Amounts = defaultdict[TotalKey, float]

# Names of totals.
ENDED = "executions_ended"  # key: the state in which it ended
FAILED = "executions_failed"  # key: the error code, or OTHER for one that a task made up
RUN_SECONDS = "execution_seconds"
WAITED = "dispatch_latency_bucket"  # key: the bucket's number; the last one has no upper bound
WAITED_SECONDS = "dispatch_latency_seconds"
SUCCEEDED = "instances_succeeded"

OTHER = "OTHER"
# What is not in here is no label: there would be no end of them.
_CODES = frozenset(code.value for code in ErrorCode)


@transaction.atomic
def tally(*, now: datetime) -> int:
    """Count what ended since the last look; return the number of executions counted.

    The first look begins at what is newest then: history is not counted. Looks at the same time
    follow one another.
    """
    position = TallyPosition.objects.select_for_update().filter(pk=_POSITION).first()
    if position is None:
        _begin(now)
        return 0
    amounts: Amounts = defaultdict(float)
    counted = _count_executions(position, amounts, until=now - LAG)
    _count_successes(position, amounts, until=now - LAG)
    position.save(update_fields=["execution_id", "open_ids", "succeeded_until"])
    add(amounts)
    return counted


def _begin(now: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO config_tallyposition (id, execution_id, open_ids, succeeded_until)"
            " SELECT %s, coalesce(max(id), 0), coalesce((SELECT array_agg(id)"
            f" FROM instances_execution x WHERE {FILLS}), '{{}}'),"
            " %s FROM instances_execution ON CONFLICT DO NOTHING",
            [_POSITION, now - LAG],
        )


def _count_executions(position: TallyPosition, amounts: Amounts, *, until: datetime) -> int:
    """Count the open ones that ended, then all that follow the position; a batch at a time."""
    rows = _read("x.id = ANY(%s)", [position.open_ids, None], until=until)
    position.open_ids = []
    counted = 0
    while True:
        for row in rows:
            if row.ended:
                _count(row, amounts)
                counted += 1
            else:
                position.open_ids.append(row.id)
        following = _read("x.id > %s", [position.execution_id, BATCH_SIZE], until=until)
        rows = list(itertools.takewhile(lambda row: not row.young, following))
        if not rows:
            return counted
        position.execution_id = rows[-1].id


class _Row(NamedTuple):
    """An execution; times in seconds, None when it never started."""

    id: int
    group: str
    state: str
    ended: bool
    young: bool
    waited: float | None
    ran: float | None
    error_code: str


def _read(condition: str, arguments: list[Any], *, until: datetime) -> list[_Row]:
    """Read executions in id order. arguments: of the condition, then how many at most."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT x.id, g.name, x.state, x.ended_at IS NOT NULL, x.dispatched_at > %s,"
            " extract(epoch FROM x.started_at - x.ready_at)::float8,"
            " extract(epoch FROM x.ended_at - x.started_at)::float8, x.error_code"
            " FROM instances_execution x JOIN projects_resourcegroup g ON g.id = resource_group_id"
            f" WHERE {condition} ORDER BY x.id LIMIT %s",
            [until, *arguments],
        )
        return [_Row(*row) for row in cursor.fetchall()]


def _count(row: _Row, amounts: Amounts) -> None:
    amounts[ENDED, row.group, row.state] += 1
    if row.error_code:
        amounts[FAILED, row.group, row.error_code if row.error_code in _CODES else OTHER] += 1
    if row.waited is None:
        return
    # Clocks of two machines may differ: nothing waits less than no time.
    waited = max(row.waited, 0.0)
    amounts[WAITED, row.group, str(bucket_of(waited))] += 1
    amounts[WAITED_SECONDS, row.group, ""] += waited
    amounts[RUN_SECONDS, row.group, ""] += max(row.ran or 0.0, 0.0)


def bucket_of(seconds: float) -> int:
    """Return the number of the bucket that `seconds` falls into, from 0."""
    return next((n for n, bound in enumerate(BUCKETS) if seconds <= bound), len(BUCKETS))


def _count_successes(position: TallyPosition, amounts: Amounts, *, until: datetime) -> None:
    """Count instances that succeeded, those without an execution (virtual, dry, marked) too."""
    with connection.cursor() as cursor:
        cursor.execute(
            # What was settled by hand may have ended long before: it counts when it was settled.
            "SELECT (SELECT count(*) FROM instances_instance WHERE state = 'SUCCESS'"
            " AND ended_at > %s AND ended_at <= %s AND coalesce(settled_at, ended_at) <= ended_at)"
            " + (SELECT count(*) FROM instances_instance WHERE state = 'SUCCESS'"
            " AND settled_at > %s AND settled_at <= %s AND settled_at > ended_at)",
            2 * [position.succeeded_until, until],
        )
        amounts[SUCCEEDED, "", ""] += cursor.fetchone()[0]
    position.succeeded_until = max(position.succeeded_until, until)
