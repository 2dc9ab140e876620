"""Which slots the cells of a grid wait for (design §6, B8). Pure.

| check | another task's slot in the plan | another task's slot outside | own previous slot |
|---|---|---|---|
| all | waits for the plan's instance | waits for the slot's periodic one | as another task's |
| selected | waits for the plan's instance | no | in the plan only |
| none | no | no | in the plan only |

Self-dependency is a setting of its own beside the check of upstream tasks (B9), so a
self-dependent task goes fire by fire under every check: "none" lets tasks run side by side, it
does not let a task overtake itself. A slot of one of the plan's tasks that is no cell of the plan,
as its date or time of day was not asked for, counts as outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime
from typing import NamedTuple

from backfill.options.dependencies import DependencyCheck
from backfill.planning.grid import Grid, GridTask, Slot, Upstream
from workflows.schedules import Schedule, fires_on
from workflows.schedules.matching import Matcher, Offset, Scope, self_previous

# Matchers keep the days they were asked for: forget them now and then in a long plan.
_DAYS_KEPT = 40


class CellEdge(NamedTuple):
    """A cell waits for this slot; `within_plan` when the slot is a cell as well."""

    task_id: int
    scheduled_at: datetime
    within_plan: bool


class _Rule(NamedTuple):
    """What decides which fires are waited for: dependencies of one rule share the answers."""

    downstream: Schedule
    upstream: Schedule
    offset: Offset
    scope: Scope
    upstream_self_dependent: bool
    upstream_in_plan: bool


_Match = tuple[tuple[datetime, bool], ...]  # (the upstream's fire, whether it is a cell)


class EdgeFinder:
    """Finds the edges of a grid's cells, day by day; days may come in any order."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        planned = {task.id for task in grid.tasks}
        self._links: list[tuple[tuple[int, _Rule], ...]] = [
            tuple(
                (upstream.task_id, _rule(task, upstream, upstream.task_id in planned))
                for upstream in self._checked(task, planned)
            )
            for task in grid.tasks
        ]
        self._matchers: dict[_Rule, Matcher] = {}
        self._day: date | None = None
        self._days_seen = 0
        # The answers of the present day, for each of its slots.
        self._matches: dict[_Rule, list[_Match]] = {}
        self._previous: dict[Schedule, list[_Match]] = {}

    def edges_of(
        self, position: int, day: date, slots: Iterable[Slot]
    ) -> Iterator[tuple[CellEdge, ...]]:
        """The edges of each of the cells of the task at `position` on `day`.

        `slots` are all of the task's slots of that day. Skips have no edges.
        """
        if day != self._day:
            self._begin(day)
        task, links = self._grid.tasks[position], self._links[position]
        slots = list(slots)
        sources = [(task_id, self._matches_of(rule, slots)) for task_id, rule in links]
        if task.self_dependent:
            sources.append((task.id, self._previous_of(task.schedule, slots)))
        outside_counts = self._grid.check is DependencyCheck.ALL
        for index in range(len(slots)):
            found = [
                CellEdge(task_id, fire, is_cell)
                for task_id, matches in sources
                for fire, is_cell in matches[index]
                if is_cell or outside_counts
            ]
            # Two dependencies on one task, same-cycle and previous-cycle, may name one slot.
            yield tuple(dict.fromkeys(found)) if len(found) > 1 else tuple(found)

    def _checked(self, task: GridTask, planned: set[int]) -> tuple[Upstream, ...]:
        """The dependencies of a task that can give edges under the plan's check."""
        if self._grid.check is DependencyCheck.NONE:
            return ()
        if self._grid.check is DependencyCheck.SELECTED:
            return tuple(one for one in task.upstreams if one.task_id in planned)
        return task.upstreams

    def _begin(self, day: date) -> None:
        self._day = day
        self._matches.clear()
        self._previous.clear()
        self._days_seen += 1
        if self._days_seen % _DAYS_KEPT == 0:
            self._matchers.clear()

    def _matches_of(self, rule: _Rule, slots: list[Slot]) -> list[_Match]:
        found = self._matches.get(rule)
        if found is None:
            matcher = self._matchers.get(rule)
            if matcher is None:
                matcher = self._matchers[rule] = Matcher(
                    rule.downstream,
                    rule.upstream,
                    offset=rule.offset,
                    scope=rule.scope,
                    upstream_self_dependent=rule.upstream_self_dependent,
                )
            found = self._matches[rule] = [
                self._sorted_out(rule.upstream, matcher.match(slot.scheduled_at), rule)
                if slot.effective
                else ()
                for slot in slots
            ]
        return found

    def _previous_of(self, schedule: Schedule, slots: list[Slot]) -> list[_Match]:
        found = self._previous.get(schedule)
        if found is None:
            assert self._day is not None
            # All fires of the day: the one before may lie outside the plan's hours.
            fires = fires_on(schedule, self._day)
            before: dict[datetime, datetime | None] = dict(zip(fires[1:], fires, strict=False))
            if fires:
                before[fires[0]] = self_previous(schedule, fires[0])
            found = self._previous[schedule] = []
            for slot in slots:
                fire = before.get(slot.scheduled_at)
                found.append(((fire, self._grid.holds(schedule, fire)),) if fire else ())
        return found

    def _sorted_out(self, schedule: Schedule, fires: tuple[datetime, ...], rule: _Rule) -> _Match:
        return tuple(
            (fire, rule.upstream_in_plan and self._grid.holds(schedule, fire)) for fire in fires
        )


def _rule(task: GridTask, upstream: Upstream, in_plan: bool) -> _Rule:
    return _Rule(
        task.schedule,
        upstream.schedule,
        upstream.offset,
        upstream.scope,
        upstream.self_dependent,
        in_plan,
    )
