"""Which tasks a plan runs, and in which order (B2, B3 a, B5). Pure: ids, links and facts go in."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from django.utils.translation import gettext as _

from backfill.options.entry import MAX_ROOT_TASKS, Entry, EntryKind, too_many_roots
from backfill.options.selection import MAX_TASKS, Scope, too_many_tasks
from backfill.spec import PlanSpec
from projects.ground.refusals import Invalid
from projects.ground.words import gettext_lazy, listed, thousands
from workflows.choices import BACKFILLABLE
from workflows.network.graph import Graph
from workflows.network.links import Link
from workflows.schedules import Cycle
from workflows.schedules.matching import Offset
from workflows.schedules.matching import Scope as MatchScope

_NAMES_SHOWN = 10


class Obstacle(StrEnum):
    """Why a task cannot be in a plan."""

    ONE_TIME = "one_time"  # it has one date of its own (B2)
    NOT_IN_OPERATIONS = "not_in_operations"  # neither scheduling, nor paused, nor invalid (B2)
    FORBIDDEN = "forbidden"  # it is in a project that the user may not operate (B5)


OBSTACLE_SENTENCES: Mapping[Obstacle, str] = {
    Obstacle.ONE_TIME: gettext_lazy("One-time tasks cannot be backfilled"),
    Obstacle.NOT_IN_OPERATIONS: (
        gettext_lazy("Only tasks that are scheduling, paused or invalid can be backfilled")
    ),
    Obstacle.FORBIDDEN: gettext_lazy("You may not operate the projects of these tasks"),
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """What selection needs to know of a task. `status` is the stored one (TaskStatus).

    `label` is its name for the user: "workflow/task", or its id alone where they may not see it.
    """

    id: int
    label: str
    status: str
    cycle: str
    operable: bool = True

    @property
    def obstacle(self) -> Obstacle | None:
        """Why the task cannot be in a plan; None when it can."""
        if not self.operable:
            return Obstacle.FORBIDDEN
        if self.status not in BACKFILLABLE:
            return Obstacle.NOT_IN_OPERATIONS
        if self.cycle == Cycle.ONE_TIME:
            return Obstacle.ONE_TIME
        return None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A task that the entry or the downstream would bring along, were it not for an obstacle."""

    id: int
    label: str
    obstacle: Obstacle


@dataclass(frozen=True, slots=True)
class Selection:
    """The tasks of a plan.

    task_ids: in topological order. levels: of each of them the longest way from a task of the
    plan with nothing upstream in it (0). root_ids: the entry's tasks that can be run.
    downstream_ids: all that could be chosen downstream of them, chosen or not.
    """

    task_ids: tuple[int, ...]
    levels: Mapping[int, int]
    root_ids: tuple[int, ...]
    downstream_ids: tuple[int, ...]
    left_out: tuple[LeftOut, ...] = ()


def select_tasks(
    spec: PlanSpec,
    *,
    entry_ids: Collection[int],
    candidates: Mapping[int, Candidate],
    links: Sequence[Link],
) -> Selection:
    """Select the tasks that `spec` asks for.

    entry_ids: the tasks that the entry stands for. candidates: they and, where the scope has a
    downstream, all tasks downstream of them. links: the dependencies among the candidates.
    Raises Invalid at the field at fault, also when a limit is passed (B3).
    """
    roots, refused = _sort_out(entry_ids, candidates)
    if refused and spec.entry.kind is EntryKind.TASKS:
        one_time = all(one.obstacle is Obstacle.ONE_TIME for one in refused)
        code = "one_time_task" if one_time else "not_backfillable"
        raise Invalid.from_pairs(_refusals("entry.ids", refused), code=code)
    left_out = list(refused)
    downstream: list[int] = []
    if spec.scope is not Scope.SELECTED:
        graph = Graph.from_edges(
            sorted(candidates), sorted({(link.upstream, link.downstream) for link in links})
        )
        reached = [pk for pk in graph.descendants(roots) if pk not in set(entry_ids)]
        downstream, unfit = _sort_out(reached, candidates)
        left_out += unfit
    chosen = _choose(spec, roots, downstream, candidates)
    _check_limits(spec.entry, roots, chosen, links)
    graph_of_day = _same_day_graph(chosen, links)
    return Selection(
        task_ids=tuple(graph_of_day.topological_order(key=lambda pk: pk)),
        levels=graph_of_day.levels(),
        root_ids=tuple(sorted(roots)),
        downstream_ids=tuple(sorted(downstream)),
        left_out=tuple(left_out),
    )


def _same_day_graph(task_ids: Collection[int], links: Iterable[Link]) -> Graph[int]:
    """The graph of the tasks and of what they wait for on the same day.

    Links into the past take no part: through them, and only through them, tasks may wait for each
    other in a ring.
    """
    inside = set(task_ids)
    edges = [
        (link.upstream, link.downstream)
        for link in links
        if link.upstream in inside
        and link.downstream in inside
        and link.offset is Offset.SAME
        and link.scope is not MatchScope.PREVIOUS_DAY
    ]
    return Graph.from_edges(sorted(inside), edges)


def _sort_out(
    task_ids: Iterable[int], candidates: Mapping[int, Candidate]
) -> tuple[list[int], list[LeftOut]]:
    fit: list[int] = []
    unfit: list[LeftOut] = []
    for pk in sorted(set(task_ids)):
        obstacle = candidates[pk].obstacle
        if obstacle is None:
            fit.append(pk)
        else:
            unfit.append(LeftOut(pk, candidates[pk].label, obstacle))
    return fit, unfit


def _choose(
    spec: PlanSpec,
    roots: Sequence[int],
    downstream: Sequence[int],
    candidates: Mapping[int, Candidate],
) -> list[int]:
    if not roots:
        raise Invalid.from_pairs(
            [("entry", _("None of these tasks is scheduling, paused or invalid with a cycle."))],
            code="no_tasks",
        )
    if spec.scope is Scope.SELECTED:
        return list(roots)
    wanted = set(downstream)
    if spec.downstream_task_ids:
        pairs = [
            (f"downstream_task_ids.{index}", _not_downstream(pk, candidates))
            for index, pk in enumerate(spec.downstream_task_ids)
            if pk not in wanted
        ]
        if pairs:
            raise Invalid.from_pairs(pairs)
        wanted = set(spec.downstream_task_ids)
    if spec.scope is Scope.ONLY_DOWNSTREAM:
        if not wanted:
            raise Invalid.from_pairs(
                [("scope", _("No task that can be run is downstream of the root tasks."))],
                code="no_tasks",
            )
        return sorted(wanted)
    return sorted({*roots, *wanted})


def _not_downstream(pk: int, candidates: Mapping[int, Candidate]) -> str:
    candidate = candidates.get(pk)
    if candidate is not None and candidate.obstacle is not None:
        return _obstructed(candidate.obstacle, candidate.label)
    return _("Task {id} is not downstream of the root tasks.").format(id=pk)


def _obstructed(obstacle: Obstacle, tasks: str) -> str:
    problem = _("{obstacle}: {tasks}.")
    return problem.format(obstacle=OBSTACLE_SENTENCES[obstacle], tasks=tasks)


def _check_limits(
    entry: Entry, roots: Sequence[int], chosen: Sequence[int], links: Sequence[Link]
) -> None:
    # Of tasks named one by one each is a root; of a whole workflow, folder or project those are
    # that wait for no other of it.
    count = len(roots)
    if entry.kind is not EntryKind.TASKS:
        inside = set(roots)
        count -= len({one.downstream for one in links if {one.upstream, one.downstream} <= inside})
    if count > MAX_ROOT_TASKS:
        raise Invalid.from_pairs([("entry", too_many_roots(count))], code="too_many_roots")
    if len(chosen) > MAX_TASKS:
        raise Invalid.from_pairs([("entry", too_many_tasks(len(chosen)))], code="too_many_tasks")


def _refusals(field: str, refused: Iterable[LeftOut]) -> list[tuple[str, str]]:
    """One message for each kind of obstacle, with the tasks' names."""
    names: dict[Obstacle, list[str]] = {}
    for one in refused:
        names.setdefault(one.obstacle, []).append(one.label)
    return [(field, _obstructed(obstacle, some_of(labels))) for obstacle, labels in names.items()]


def some_of(names: Sequence[str]) -> str:
    """The names with commas; of a long list the first ones and the number of the others."""
    shown = listed(names[:_NAMES_SHOWN])
    more = len(names) - _NAMES_SHOWN
    if more <= 0:
        return shown
    return _("{names} and {count} more").format(names=shown, count=thousands(more))
