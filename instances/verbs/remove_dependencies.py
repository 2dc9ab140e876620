"""Remove dependencies (I7): an instance goes on without an upstream that will not succeed soon."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from django.db import connection
from django.utils.translation import gettext as _

from instances.engine.settling import settle
from instances.states import FINISHED, IN_PROCESS, State
from instances.verbs.noun import INSTANCES
from projects.ground import clock
from projects.ground.refusals import Invalid
from projects.ground.sql import column
from projects.ground.words import gettext_lazy
from projects.verbs.catalogue import declare
from projects.verbs.recording import ItemOutcome
from projects.verbs.selecting import Selection
from projects.verbs.verb import Option


@declare(
    INSTANCES,
    "remove-dependencies",
    title=gettext_lazy("Remove dependencies"),
    phrase=gettext_lazy("Remove dependencies of"),
    done=gettext_lazy("freed of dependencies"),
    icon="link_off",
    place=6,
    danger=True,
    warning=gettext_lazy(
        "There is no way back: neither a rerun nor a later plan's instance of the same "
        "planned time waits for a removed dependency. Other instances are not touched. What "
        "the upstream had to deliver may be missing or old."
    ),
    effects={
        state: gettext_lazy("stays as it is; run again, it does not wait for them")
        if state in FINISHED | IN_PROCESS
        else gettext_lazy("does not wait for them any more")
        for state in State
    },
    options=(
        Option(
            "edges",
            "ids",
            gettext_lazy("Ids of upstream edges of the instance."),
            nothing_chosen=gettext_lazy("Choose the dependencies to remove."),
        ),
    ),
)
def remove_dependencies(
    selection: Selection, edges: Collection[int] | None = None
) -> list[ItemOutcome]:
    """Remove upstream edges of the instances: those of `edges`, or all of them (I7).

    There is no way back. The edges stay, marked; neither a rerun of the instance nor a later plan's
    instance of its slot waits for them. An instance without such an edge is refused as
    `nothing_to_remove`. Raises Invalid at `edges` for an edge of none of the instances.
    """
    if edges is not None:
        # Of instances that may not be operated nobody learns which edges they have.
        edges = _own(edges, selection.states) if selection.states else []
    now = clock.now()
    actor_id = getattr(selection.actor, "pk", None)
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
    nothing = _("It waits for nothing that could be removed.")
    return [
        outcome
        if outcome.id in counts or not outcome.ok
        else selection.refuse(outcome.id, "nothing_to_remove", nothing)
        for outcome in selection.outcomes(selection.states)
    ]


def _own(edges: Collection[int], ids: Iterable[int]) -> Collection[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM instances_edge WHERE id = ANY(%s) AND instance_id = ANY(%s)",
            [list(edges), list(ids)],
        )
        strangers = set(edges) - set(column(cursor))
    if strangers:
        problem = _("{id} is not one of its upstream edges.").format(id=min(strangers))
        raise Invalid.from_pairs([("edges", problem)])
    return edges
