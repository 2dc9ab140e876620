"""Keeping the stored states of plans true to their instances (B21)."""

from __future__ import annotations

from django.db import connection

from instances.states import State

# An instance that is frozen neither waits nor runs, and one that is being terminated is on its way
# out: neither sets a finished plan going again.
NOT_GOING = frozenset({State.SUCCESS, State.FAILED, State.FROZEN, State.TERMINATING})
_GOING = sorted(state.value for state in State if state not in NOT_GOING)
_FINISHED = sorted([State.SUCCESS.value, State.FAILED.value])


def settle_plans() -> tuple[int, int]:
    """Complete running plans whose instances have all finished, and set finished plans running of
    which an instance was run again. Returns how many of each; two statements.

    A plan ends when its last instance ended; a pause ends with it.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH completed AS (
                UPDATE backfill_plan AS p SET state = 'completed', ended_at = (
                    SELECT max(i.ended_at) FROM instances_instance i WHERE i.batch_id = p.batch_id
                )
                WHERE p.state = 'running' AND NOT EXISTS (
                    SELECT FROM instances_instance i
                    WHERE i.batch_id = p.batch_id AND i.state <> ALL(%s)
                )
                RETURNING p.batch_id
            ), resumed AS (
                UPDATE instances_batch AS b SET paused_at = NULL FROM completed
                WHERE b.id = completed.batch_id AND b.paused_at IS NOT NULL
            )
            SELECT count(*) FROM completed
            """,
            [_FINISHED],
        )
        (completed,) = cursor.fetchone()
        cursor.execute(
            """
            UPDATE backfill_plan AS p SET state = 'running', ended_at = NULL
            WHERE p.state IN ('completed', 'terminated') AND p.expanded_count >= p.planned_count
                AND EXISTS (
                    SELECT FROM instances_instance i JOIN instances_batch b ON b.id = i.batch_id
                    WHERE i.batch_id = p.batch_id AND i.state = ANY(%s)
                        AND (b.stopped_at IS NULL OR i.waiting_since > b.stopped_at)
                )
            """,
            [_GOING],
        )
        return completed, cursor.rowcount
