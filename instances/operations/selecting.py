"""Choosing what an operation acts on: locked, within the user's rights, in an allowed state."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from instances.locking import lock_instances
from instances.models import Instance
from instances.states import State
from projects.access import Actor, projects_lacking
from projects.operations import ItemOutcome
from projects.refusals import Invalid
from projects.roles import Right

# One request acts on at most so many instances at once.
MOST_IDS = 10_000


@dataclass(frozen=True, slots=True)
class Selection:
    """Locked instances that may be operated, by id, and the outcomes of those that may not."""

    states: dict[int, State]
    labels: dict[int, str]
    refused: list[ItemOutcome]
    project_id: int | None  # set when all of them are in one project

    def outcomes(self, done: Iterable[int]) -> list[ItemOutcome]:
        """Return one outcome for each instance asked for: `done` ones, late ones, refused ones."""
        reached = set(done)
        late = "Its state changed at this moment; nothing was done."
        return [
            ItemOutcome(pk, label=self.labels[pk])
            if pk in reached
            else ItemOutcome(pk, False, "wrong_state", late, self.labels[pk])
            for pk in self.states
        ] + self.refused


def select(*, actor: Actor, ids: Iterable[int], allowed: Collection[State], verb: str) -> Selection:
    """Lock the instances and sort out which may be operated. Call inside a transaction.

    Instances of projects that the actor does not see are `not_found`, without the actor's learning
    that they exist. Raises Invalid for no ids, or too many.
    """
    wanted = sorted(set(ids))
    if not wanted or len(wanted) > MOST_IDS:
        problem = f"Choose from 1 to {MOST_IDS} instances; {len(wanted)} were given."
        raise Invalid(problem, fields={"ids": [problem]})
    rows = {
        pk: (project_id, f"{name} {scheduled_at:%Y-%m-%d %H:%M}")
        for pk, project_id, name, scheduled_at in Instance.objects.filter(
            pk__in=wanted
        ).values_list("pk", "project_id", "task__name", "scheduled_at")
    }
    project_ids = {project_id for project_id, _ in rows.values()}
    unseen = projects_lacking(actor, project_ids, Right.VIEW)
    barred = projects_lacking(actor, project_ids, Right.OPERATE)
    refused: list[ItemOutcome] = []
    permitted: list[int] = []
    for pk in wanted:
        if pk not in rows or rows[pk][0] in unseen:
            refused.append(ItemOutcome(pk, False, "not_found", "There is no such instance."))
        elif rows[pk][0] in barred:
            detail = f"Your role in its project does not allow you to {verb} it."
            refused.append(ItemOutcome(pk, False, "forbidden", detail, rows[pk][1]))
        else:
            permitted.append(pk)
    states = lock_instances(permitted)
    chosen = {pk: state for pk, state in states.items() if state in allowed}
    for pk in permitted:
        if pk not in chosen:
            state = states[pk].label if pk in states else "gone"
            detail = f"It is {state.lower()}; {verb} needs {_spell(allowed)}."
            refused.append(ItemOutcome(pk, False, "wrong_state", detail, rows[pk][1]))
    reached = {rows[pk][0] for pk in permitted}
    return Selection(
        states=chosen,
        labels={pk: label for pk, (_, label) in rows.items()},
        refused=refused,
        project_id=reached.pop() if len(reached) == 1 else None,
    )


def _spell(states: Collection[State]) -> str:
    *most, last = [state.label.lower() for state in State if state in states]
    return f"{', '.join(most)} or {last}" if most else last
