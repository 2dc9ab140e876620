"""A history: finished instances with edges, executions and logs, as years of work leave them."""

from __future__ import annotations

from django.db import connection

from tests.benchmarks.world import ENGINE_TABLES, World, tidy_up

TASKS = 100
# Half of them ended longer ago than the project keeps them.
_ENDED = """now() - CASE WHEN n %% 2 = 0 THEN interval '100 days' ELSE interval '1 day' END
    - n * interval '5 seconds'"""


def fill(world: World) -> int:
    """Make 1,000,000 finished periodic instances, in tasks h00 to h99; return their number.

    Each waits for its task's instance of the day before, and has an execution; each tenth has
    written a log, each twentieth has failed. One that is there already stays.
    """
    count = world.scaled(1_000_000)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM workflows_task WHERE name = 'h00'")
        if cursor.fetchone()[0]:
            return count
    tasks = world.tasks({f"h{number:02d}": [] for number in range(TASKS)}, "shell")
    ids = [task.pk for task in tasks.values()]
    versions = [task.version_id for task in tasks.values()]
    with connection.cursor() as cursor:
        cursor.execute(_INSTANCES, [world.project.pk, ids, versions, world.group.pk, count])
        cursor.execute("ANALYZE instances_instance")
        cursor.execute(_EDGES, [ids])
        cursor.execute(_EXECUTIONS, [ids])
        cursor.execute(_LOGS, [ids])
    tidy_up(*ENGINE_TABLES)
    return count


_INSTANCES = f"""
    INSERT INTO instances_instance (project_id, task_id, version_id, resource_group_id, awaits_day,
        kind, scheduled_at, data_date, local_time, state, error_code, error_message, dry, inline,
        priority, sort_key, retry_limit, retry_count, lost_count, total_runs, parameters,
        not_before, waiting_since, created_at, ready_at, dispatched_at, started_at, ended_at)
    SELECT %s, (%s::bigint[])[1 + n %% {TASKS}], (%s::bigint[])[1 + n %% {TASKS}], %s, false,
        'PERIODIC',
        at, at::date - 1, at::time, CASE WHEN n %% 20 = 0 THEN 'FAILED' ELSE 'SUCCESS' END,
        CASE WHEN n %% 20 = 0 THEN 'EXIT_CODE' ELSE '' END, '', false, false, 1, 0, 0, 0, 0, 1,
        '{{}}', at, ended_at, ended_at, ended_at, ended_at, ended_at, ended_at
    FROM (
        SELECT n, {_ENDED} AS ended_at,
            timestamptz '1990-01-01 00:00Z' + n / {TASKS} * interval '1 day' AS at
        FROM generate_series(0, %s - 1) n
    ) made"""
_EDGES = """
    INSERT INTO instances_edge
        (instance_id, upstream_task_id, upstream_scheduled_at, upstream_id, within_batch)
    SELECT i.id, u.task_id, u.scheduled_at, u.id, false
    FROM instances_instance i JOIN instances_instance u
        ON u.task_id = i.task_id AND u.scheduled_at = i.scheduled_at - interval '1 day'
    WHERE i.task_id = ANY(%s) AND i.batch_id IS NULL AND u.batch_id IS NULL"""
_EXECUTIONS = """
    INSERT INTO instances_execution (instance_id, task_id, number, cause, state, resource_group_id,
        worker, waiting_since, ready_at, dispatched_at, announced_at, started_at, ended_at,
        lease_until, code, parameters, exit_code, error_code, error_message, log_bytes)
    SELECT id, task_id, 1, 'FIRST', state, resource_group_id, 'history:1:1', waiting_since,
        ready_at, dispatched_at, dispatched_at, started_at, ended_at, ended_at, 'true', '{}', 0,
        error_code, '', 0
    FROM instances_instance WHERE task_id = ANY(%s)"""
_LOGS = """
    INSERT INTO instances_logchunk (execution_id, sequence, content, compressed, size, created_at)
    SELECT x.id, 0, convert_to(repeat('a line of the log ', 20), 'UTF8'), false, 360, x.ended_at
    FROM instances_execution x JOIN instances_instance i ON i.id = x.instance_id
    WHERE i.task_id = ANY(%s) AND x.id %% 10 = 0"""
