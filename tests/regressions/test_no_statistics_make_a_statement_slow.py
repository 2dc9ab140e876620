"""Making and waking instances reads what it is about, whatever PostgreSQL believes of its tables.

While a large plan is being made statistics are those of the small tables that were there before, or
missing. A join that is planned by them reads whole tables, chunk after chunk.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from instances.engine.creation import create_instances, resolve_edges_of
from instances.engine.settling import hold_back_below, set_going
from instances.ground.statistics import TABLES as ALL_TABLES
from instances.ground.statistics import refresh_statistics
from instances.models import Batch, Edge, Instance
from instances.states import State
from projects.ground import clock
from tests.factories import make_submitted_tasks
from tests.support.engine import DAY, make_batch, new_instance
from workflows.models import Task

TABLES = ("instances_instance", "instances_edge")
PREFIXES = ("instances_", "instance_", "edge_", "backfill_", "plan_")
UPSTREAMS = 3_000
WAITING = 10
EACH = 300  # edges of each of those that wait
# What a statement may read: some times what it is about, a fraction of what there is.
MOST_ROWS = 4 * WAITING * EACH


def fill(task: Task, batch: Batch) -> None:
    """Make 50,000 instances of other work and 100,000 edges between them, all of them successes.

    In the batch, too: most of what a large plan has made is of no concern to its next chunk.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # no foreign keys
        cursor.execute(
            """
            INSERT INTO instances_instance (project_id, task_id, version_id, resource_group_id,
                batch_id, awaits_day, kind, scheduled_at, data_date, local_time, state, error_code,
                error_message, dry, inline, priority, sort_key, retry_limit, retry_count,
                lost_count, total_runs, parameters, not_before, waiting_since, created_at,
                ready_at, dispatched_at, started_at, ended_at)
            SELECT %s, %s, %s, %s, CASE WHEN n %% 2 = 0 THEN %s::bigint END, false, 'BACKFILL',
                at, at::date, at::time, 'SUCCESS', '', '', false, true, 5,
                CASE WHEN n %% 2 = 0 THEN 1 ELSE 0 END, 0, 0, 0, 1, '{}',
                at, at, at, at, at, at, at
            FROM (SELECT n, timestamptz '2000-01-01 00:00Z' + n * interval '1 minute' AS at
                FROM generate_series(1, 50000) n) made
            """,
            [task.project_id, task.pk, task.version_id, task.resource_group_id, batch.pk],
        )
        cursor.execute(
            """
            INSERT INTO instances_edge
                (instance_id, upstream_task_id, upstream_scheduled_at, upstream_id, within_batch)
            SELECT i.id, i.task_id, i.scheduled_at - n * interval '2 minutes',
                i.id - 2 * n, i.batch_id IS NOT NULL
            FROM instances_instance i, generate_series(1, 2) n WHERE i.task_id = %s
            """,
            [task.pk],
        )
        cursor.execute("SET LOCAL session_replication_role = origin")


def forget(rows: int) -> None:
    """Leave no statistics but a number of rows: -1 is never looked at, 0 an empty table."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM pg_statistic WHERE starelid = ANY(%s::regclass[])", [list(TABLES)]
        )
        cursor.execute(
            "UPDATE pg_class SET reltuples = %s, relpages = 0"
            " WHERE oid = ANY(%s::regclass[]) OR oid IN"
            " (SELECT indexrelid FROM pg_index WHERE indrelid = ANY(%s::regclass[]))",
            [rows, list(TABLES), list(TABLES)],
        )


@contextmanager
def reading() -> Iterator[dict[str, int]]:
    """Tell of each statement of the block the rows and index entries that it reads at most.

    Of the tables of `instances` and `backfill`.
    """
    read: dict[str, int] = {}

    def explain(
        execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        if sql.lstrip().startswith(("SELECT", "UPDATE", "WITH")):
            with transaction.atomic(), connection.cursor() as cursor:
                raw = cursor.cursor  # ours, past this wrapper
                raw.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", params)
                (found,) = raw.fetchone()
                transaction.set_rollback(True)
            plan = found if isinstance(found, list) else json.loads(found)
            text = " ".join(sql.split())
            read[text] = max(read.get(text, 0), rows_read(plan[0]["Plan"]))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explain):
        yield read


def rows_read(node: dict[str, Any]) -> int:
    found = sum(rows_read(child) for child in node.get("Plans", []))
    name = node.get("Relation Name") or node.get("Index Name", "")
    if "Scan" in node["Node Type"] and name.startswith(PREFIXES):
        names = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
        found += round(sum(node.get(key, 0) for key in names) * node["Actual Loops"])
    return found


@pytest.mark.django_db
@pytest.mark.parametrize("rows", [-1, 0, 1_000])
@pytest.mark.parametrize("in_plan", [True, False])
def test_a_chunk_of_a_plan_reads_what_it_is_about(
    rows: int, in_plan: bool, django_capture_on_commit_callbacks: Any
) -> None:
    tasks = make_submitted_tasks(
        {"other": {}, "up": {"type": "virtual"}, "late": {"type": "virtual"}, "down": {}}
    )
    up, late, down = tasks["up"], tasks["late"], tasks["down"]
    plan = make_batch(up)
    fill(tasks["other"], plan)
    batch = plan if in_plan else None
    batch_id = plan.pk if in_plan else None

    def create(*made: Any) -> list[int]:
        with django_capture_on_commit_callbacks(execute=True):
            ids = create_instances(made, now=clock.now(), batch_id=batch_id)
        return ids

    rows_above = (
        new_instance(up, day=day, batch=batch, not_before=DAY) for day in range(UPSTREAMS)
    )
    ups = create(*rows_above)
    with django_capture_on_commit_callbacks(execute=True):
        set_going(ups)
    forget(rows)
    with reading() as read:
        waiting = create(
            *(
                new_instance(
                    down,
                    day=day,
                    batch=batch,
                    waits_for=[*((up, number * 7 + day) for number in range(EACH)), (late, 0)],
                )
                for day in range(WAITING)
            )
        )
        set_going(waiting)
        assert not Edge.objects.filter(instance__in=waiting, upstream=None).exclude(
            upstream_task=late
        )
        resolve_edges_of(waiting)
        (last,) = create(new_instance(late, batch=batch))
        assert not Edge.objects.filter(instance__in=waiting, upstream=None)
        with django_capture_on_commit_callbacks(execute=True):
            set_going([last])
        assert set(Instance.objects.filter(pk__in=waiting).values_list("state", flat=True)) == {
            State.WAITING_EXECUTION
        }
        hold_back_below([last], now=clock.now())
    assert {sql: number for sql, number in read.items() if number > MOST_ROWS} == {}


@pytest.fixture
def no_autovacuum(transactional_db: None) -> Iterator[None]:
    """Have nobody else look at the tables, which are as new."""
    with connection.cursor() as cursor:
        for table in ALL_TABLES:
            cursor.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
        # An ANALYZE of tests before outlives that their rows were rolled back.
        cursor.execute(f"TRUNCATE {', '.join(ALL_TABLES)} CASCADE")
        yield
        for table in ALL_TABLES:
            cursor.execute(f"ALTER TABLE {table} RESET (autovacuum_enabled)")


def test_tables_that_were_filled_are_looked_at_before_autovacuum_does(
    no_autovacuum: None,
) -> None:
    tasks = make_submitted_tasks({"a": {"type": "virtual"}})
    with transaction.atomic():
        create_instances(
            [
                new_instance(tasks["a"], day=day, not_before=DAY + timedelta(days=20_000))
                for day in range(3_000)
            ],
            now=clock.now(),
            batch_id=None,
        )
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
    refresh_statistics()
    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples FROM pg_class WHERE relname = 'instances_instance'")
        assert cursor.fetchone() == (3_000,)
    assert refresh_statistics() == []
