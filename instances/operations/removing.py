"""Remove dependencies (I7): an instance goes on without an upstream that will not succeed soon."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from django.db import connection, transaction

from instances.engine import settle
from instances.operations.selecting import select
from instances.states import State
from projects import clock
from projects.access import Actor
from projects.bulk import repeat_on_deadlock
from projects.operations import BatchResult, ItemOutcome, record
from projects.refusals import Invalid


@repeat_on_deadlock
@transaction.atomic
def remove_dependencies(
    *, actor: Actor, ids: Iterable[int], edges: Collection[int] | None = None
) -> BatchResult:
    """Remove upstream edges of the instances: those of `edges`, or all of them (I7).

    There is no way back. The edges stay, marked; neither a rerun of the instance nor a later plan's
    instance of its slot waits for them. An instance without such an edge is refused as
    `nothing_to_remove`. Raises Invalid at `edges` for an edge of none of the instances.
    """
    selection = select(
        actor=actor, ids=ids, allowed=frozenset(State), verb="remove dependencies of"
    )
    if edges is not None:
        # Of instances that may not be operated nobody learns which edges they have.
        edges = _own(edges, selection.states) if selection.states else []
    now = clock.now()
    actor_id = getattr(actor, "pk", None)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH removed AS (
                UPDATE instances_edge SET removed_at = %s, removed_by_id = %s
                WHERE instance_id = ANY(%s) AND removed_at IS NULL
                    AND (%s::bigint[] IS NULL OR id = ANY(%s))
                RETURNING instance_id, upstream_task_id, upstream_scheduled_at
            ), kept AS (
                INSERT INTO instances_removeddependency (task_id, scheduled_at, upstream_task_id,
                    upstream_scheduled_at, removed_at, removed_by_id)
                SELECT DISTINCT i.task_id, i.scheduled_at, r.upstream_task_id,
                    r.upstream_scheduled_at, %s::timestamptz, %s::integer
                FROM removed r JOIN instances_instance i ON i.id = r.instance_id
                ORDER BY 1, 2, 3, 4
                ON CONFLICT DO NOTHING
            )
            SELECT instance_id, count(*) FROM removed GROUP BY instance_id
            """,
            [
                now,
                actor_id,
                list(selection.states),
                *(2 * [None if edges is None else list(edges)]),
                now,
                actor_id,
            ],
        )
        counts = dict(cursor.fetchall())
    settle(counts, now=now)
    nothing = "It waits for nothing that could be removed."
    outcomes = [
        outcome
        if outcome.id in counts or not outcome.ok
        else ItemOutcome(outcome.id, False, "nothing_to_remove", nothing, outcome.label)
        for outcome in selection.outcomes(selection.states)
    ]
    return record(
        actor=actor,
        verb="instances.remove_dependencies",
        object_type="instance",
        project_id=selection.project_id,
        options={"edges": "all" if edges is None else sorted(edges)},
        outcomes=outcomes,
    )


def _own(edges: Collection[int], ids: Iterable[int]) -> Collection[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM instances_edge WHERE id = ANY(%s) AND instance_id = ANY(%s)",
            [list(edges), list(ids)],
        )
        strangers = set(edges) - {row[0] for row in cursor.fetchall()}
    if strangers:
        raise Invalid.from_pairs([("edges", f"{min(strangers)} is not one of its upstream edges.")])
    return edges
