"""What must hold whenever nothing is going on (design §5), told from the rows alone."""

from __future__ import annotations

from datetime import datetime

from instances.ground.prepared import prepared_cursor
from instances.holds.hold import Stage
from instances.holds.listed import HOLDS, MAY_START, READINESS, none_of
from instances.holds.plan import DAY, PAUSED, STOPPED
from instances.holds.slots import FILLS
from instances.holds.upstream import UPSTREAM
from projects.ground import clock

# An instance with its batch, as the holds speak of them.
_INSTANCES = "instances_instance i LEFT JOIN instances_batch b ON b.id = i.batch_id"
# Neither its group nor its task is full, and it was not sent yet.
_HAS_SLOT = none_of([hold.sql for hold in HOLDS if hold.stage is Stage.SLOT])
_COUNTS = f"""
    WITH used_groups AS MATERIALIZED (
        SELECT resource_group_id AS id, count(*) AS number FROM instances_execution x
        WHERE {FILLS} GROUP BY 1
    ), used_tasks AS MATERIALIZED (
        SELECT o.task_id AS id, count(*) AS number FROM instances_execution x
        JOIN instances_instance o ON o.id = x.instance_id WHERE {FILLS} GROUP BY 1
    )
"""
_USED = "coalesce((SELECT number FROM %s AS used WHERE used.id = %s), 0)"
_USED_SLOTS = _USED % ("used_groups", "g.id")
_USED_BY_TASK = _USED % ("used_tasks", "t.id")

# What is wrong: the instances (or groups, tasks) that it is wrong with.
_RULES = {
    **{
        f"is ready, and held: {hold.reason}": f"""
        SELECT i.id FROM {_INSTANCES} WHERE i.state = 'WAITING_EXECUTION' AND ({hold.sql})"""
        for hold in READINESS
    },
    "waits for its upstreams, which are all SUCCESS": f"""
        SELECT i.id FROM {_INSTANCES}
        WHERE i.state = 'WAITING_UPSTREAM' AND NOT {UPSTREAM.sql} AND {MAY_START}""",
    "was due when its round began, and nobody looked at it": f"""
        SELECT i.id FROM {_INSTANCES} WHERE i.state = 'NOT_RUN'
            AND i.not_before <= i.waiting_since AND {MAY_START} AND NOT ({DAY.sql})""",
    "is not due, and was let on": """
        SELECT i.id FROM instances_instance i WHERE i.not_before > %(now)s AND i.state IN
        ('WAITING_EVENT', 'WAITING_UPSTREAM', 'WAITING_EXECUTION', 'RUNNING', 'TERMINATING')""",
    "was let on, or ran, though its day is not open": f"""
        SELECT i.id FROM instances_instance i WHERE ({DAY.sql}) AND (i.total_runs > 0 OR i.state
        NOT IN ('NOT_RUN', 'FROZEN', 'SUCCESS', 'FAILED'))""",
    "is still to be let go on, though its day is open": f"""
        SELECT i.id FROM instances_instance i WHERE i.awaits_day AND NOT ({DAY.sql})""",
    "(a day) is open, and the one before it never was done": """
        SELECT d.id FROM instances_batchday d JOIN instances_batchday p ON p.batch_id = d.batch_id
            AND p.lane = d.lane AND p.position = d.position - 1
        WHERE d.opened_at IS NOT NULL AND p.done_at IS NULL""",
    "(a day) is done, and nobody looked at it": """
        SELECT d.id FROM instances_batchday d WHERE d.opened_at IS NOT NULL AND d.done_at IS NULL
            AND d.made_at IS NOT NULL AND NOT EXISTS (SELECT FROM instances_instance i
                WHERE i.day_id = d.id AND i.state <> 'SUCCESS')""",
    "(a day) is passed, and the next one is not open": """
        SELECT n.id FROM instances_batchday n JOIN instances_batchday d ON d.batch_id = n.batch_id
            AND d.lane = n.lane AND d.position = n.position - 1
        WHERE d.done_at IS NOT NULL AND n.opened_at IS NULL""",
    "was not ended with its batch": f"""
        SELECT i.id FROM {_INSTANCES} WHERE {STOPPED.sql} AND i.state NOT IN
        ('SUCCESS', 'FAILED', 'TERMINATING', 'FROZEN')""",
    "was sent, and its batch is paused": f"""
        SELECT i.id FROM {_INSTANCES} WHERE i.state = 'WAITING_EXECUTION'
            AND i.dispatched_at IS NOT NULL AND {PAUSED.sql}""",
    "could have a slot, and has none": f"""
        SELECT i.id FROM {_INSTANCES}
        WHERE i.state = 'WAITING_EXECUTION' AND {MAY_START} AND {_HAS_SLOT}""",
    "has an edge to a slot that is there, and does not point at it": """
        SELECT i.id FROM instances_instance i JOIN instances_edge e ON e.instance_id = i.id
        JOIN instances_instance u ON u.task_id = e.upstream_task_id
            AND u.scheduled_at = e.upstream_scheduled_at
        WHERE e.upstream_id IS NULL AND e.removed_at IS NULL AND CASE WHEN e.within_batch
            THEN u.batch_id = i.batch_id ELSE u.batch_id IS NULL OR u.state = 'SUCCESS' END""",
    "has a live execution that does not fit its state": f"""
        SELECT i.id FROM instances_instance i JOIN instances_execution x ON x.instance_id = i.id
        WHERE {FILLS} AND i.state <> CASE x.state
            WHEN 'SENT' THEN 'WAITING_EXECUTION' ELSE x.state END""",
    "runs, or was sent, without a live execution": f"""
        SELECT i.id FROM instances_instance i
        WHERE (i.state IN ('RUNNING', 'TERMINATING')
               OR (i.state = 'WAITING_EXECUTION' AND i.dispatched_at IS NOT NULL))
            AND NOT EXISTS (SELECT FROM instances_execution x
                            WHERE x.instance_id = i.id AND {FILLS})""",
    "has more than one live execution": f"""
        SELECT x.instance_id FROM instances_execution x WHERE {FILLS}
        GROUP BY 1 HAVING count(*) > 1""",
    "counts other runs than it had": """
        SELECT i.id FROM instances_instance i WHERE NOT i.inline AND i.total_runs <>
        (SELECT count(*) FROM instances_execution x
         WHERE x.instance_id = i.id AND x.started_at IS NOT NULL)""",
    "has used more retries than it has": """
        SELECT i.id FROM instances_instance i WHERE i.retry_count > i.retry_limit""",
    "is the second periodic instance of its slot": """
        SELECT max(i.id) FROM instances_instance i WHERE i.batch_id IS NULL
        GROUP BY i.task_id, i.scheduled_at HAVING count(*) > 1""",
    "(a resource group) has more live executions than slots": f"""
        SELECT g.id FROM projects_resourcegroup g
        WHERE {_USED_SLOTS} > g.slots""",
    "(a task) runs more often at a time than it may": f"""
        SELECT t.id FROM workflows_task t
        WHERE {_USED_BY_TASK} > t.max_parallel""",
}
_QUERY = _COUNTS + " UNION ALL ".join(
    f"SELECT '{what}', id FROM ({query}) AS found (id)" for what, query in _RULES.items()
)


def violations(*, now: datetime | None = None) -> list[str]:
    """Return every breach of the engine's invariants as a sentence; empty when all is well.

    Call while no verb is at work. `now` is the instant that clocks are compared with.
    """
    with prepared_cursor() as cursor:
        cursor.execute(_QUERY, {"now": now or clock.now()})
        return [f"{pk} {what}" for what, pk in cursor.fetchall()]
