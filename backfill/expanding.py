"""Making a submitted plan's instances, chunk by chunk (design §7, §5.5, §5.7).

Each chunk is one transaction that writes its instances, its skips and how far the plan has come.
The cells have a fixed order that follows from what submission fixed, so whoever dies between two
chunks, or in one, is followed by somebody who goes on exactly there. The plan's row is the lock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import islice

from django.db import transaction

from backfill.dates import ONE_DAY, sort_key
from backfill.expansion import Cell, cells
from backfill.facts import TaskFacts, load_links, load_rows, make_grid, with_definitions
from backfill.grid import Grid
from backfill.models import Plan, PlanTask, Skip
from backfill.outside import Slot, not_waited_for
from backfill.preview import start_of
from backfill.spec import PlanSpec, RunMode
from backfill.states import PlanState, SkipReason
from instances.creation import (
    NewEdge,
    NewInstance,
    create_instances,
    waiting_for_each_other,
    with_removals,
)
from instances.days import closed_among, mark_made
from instances.engine import go_on_with_days, set_going
from instances.models import BatchDay
from instances.states import Kind
from projects import clock
from projects.bulk import copy_rows
from projects.models import ResourceGroup

# Bounds of a transaction, and so of how long a termination waits for it.
CELLS_AT_ONCE = 5_000
EDGES_AT_ONCE = 50_000
# Chunks of one plan before another plan gets its turn.
CHUNKS_AT_ONCE = 20


def expand_plan(plan_id: int) -> bool:
    """Make the next instances of a plan; True when cells are left and this call's share is done.

    False also when somebody else is at it, or the plan is not to be expanded. Once the plan has
    been stopped the remaining cells become skips with the reason STOPPED.
    """
    expansion: _Expansion | None = None
    for _ in range(CHUNKS_AT_ONCE):
        # Taken before the plan is looked at: what a termination overlooks is older than it.
        now = clock.now()
        with transaction.atomic():
            plan = lock_for_expansion(plan_id)
            if plan is None:
                return False
            # Somebody else may have gone on with the plan between two chunks of ours.
            if expansion is None or expansion.next_number != plan.expanded_count:
                expansion = _Expansion.of(plan)
            ids: list[int] = []
            if is_stopped(plan):
                _skip_chunk(plan, expansion)
            else:
                ids = _make_chunk(plan, expansion, now)
            more = plan.expanded_count < plan.planned_count
        set_going(ids)
        # Days that were finished, or opened, while this chunk was made.
        go_on_with_days(expansion.days_touched)
        if not more:
            return False
    return True


def lock_for_expansion(plan_id: int) -> Plan | None:
    """Lock a plan with cells left, or return None: it is done, or somebody else holds it."""
    plan = (
        Plan.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("batch")
        .filter(pk=plan_id, state__in=[PlanState.EXPANDING, PlanState.TERMINATED])
        .first()
    )
    return plan if plan is not None and plan.expanded_count < plan.planned_count else None


def is_stopped(plan: Plan) -> bool:
    """True when no further instance of the plan is to be made."""
    assert plan.batch is not None
    return plan.state == PlanState.TERMINATED or plan.batch.stopped_at is not None


def skip_rest(plan: Plan) -> None:
    """Make skips of a locked, stopped plan's next cells, as many as fit into one transaction."""
    _skip_chunk(plan, _Expansion.of(plan))


@dataclass(slots=True)
class _Expansion:
    """A submitted plan's cells from some number on, and what their instances are made of."""

    spec: PlanSpec
    task_ids: tuple[int, ...]
    facts: Mapping[int, TaskFacts]
    groups: Mapping[str, int]
    grid: Grid
    day_ids: Mapping[date, int]  # in the grid's order; empty when the plan runs by dependency
    next_number: int
    days_touched: set[int] = field(default_factory=set)  # by the last chunk
    _cells: Iterator[Cell] | None = None
    _whole: int = 0  # days of the grid whose cells were all dealt with

    @classmethod
    def of(cls, plan: Plan) -> _Expansion:
        """Load what submission fixed. A constant number of queries."""
        spec = PlanSpec.from_mapping(plan.spec)
        versions = dict(
            PlanTask.objects.filter(plan=plan)
            .order_by("position")
            .values_list("task_id", "version_id")
        )
        task_ids = tuple(versions)
        links = load_links(task_ids)
        rows = load_rows({*task_ids, *(link.upstream for link in links)})
        facts = with_definitions(list(rows.values()), versions=versions)
        names = {one.definition.resource_group for one in facts.values() if one.definition}
        groups = ResourceGroup.objects.filter(name__in=names).values_list("name", "pk")
        grid = make_grid(spec, task_ids, facts, links)
        days = (
            dict(BatchDay.objects.filter(batch=plan.batch_id).values_list("day", "pk"))
            if spec.run_mode is RunMode.DAY_BY_DAY
            else {}
        )
        return cls(
            spec=spec,
            task_ids=task_ids,
            facts=facts,
            groups=dict(groups),
            grid=grid,
            day_ids={day: days[day] for day in grid.days} if days else {},
            next_number=plan.expanded_count,
        )

    def take(self, *, with_edges: bool) -> list[Cell]:
        """The next cells: as many as one transaction takes, at least one while any are left."""
        if self._cells is None:
            self._cells = cells(self.grid, start=self.next_number, with_edges=with_edges)
        taken: list[Cell] = []
        edge_count = 0
        for cell in islice(self._cells, CELLS_AT_ONCE):
            taken.append(cell)
            edge_count += len(cell.edges)
            if edge_count >= EDGES_AT_ONCE:
                break
        self.next_number += len(taken)
        return taken

    def days_of(self, chunk: Sequence[Cell]) -> set[int]:
        """The ids of the days of the cells."""
        if not self.day_ids:
            return set()
        return {self.day_ids[day] for day in {cell.day for cell in chunk}}

    def days_before(self, day: date | None) -> list[int]:
        """The ids of the days whose cells come before those of `day`; of all days for None.

        Each is told once, unless somebody else took the plan on.
        """
        found: list[int] = []
        while self._whole < len(self.grid.days) and self.day_ids:
            next_day = self.grid.days[self._whole]
            if next_day == day:
                break
            found.append(self.day_ids[next_day])
            self._whole += 1
        return found


def _make_chunk(plan: Plan, expansion: _Expansion, now: datetime) -> list[int]:
    """Make the next instances and skips of a locked plan; return those that may start already."""
    chunk = expansion.take(with_edges=True)
    dropped = not_waited_for(
        {
            (edge.task_id, edge.scheduled_at)
            for cell in chunk
            for edge in cell.edges
            if not edge.within_plan
        },
        expansion.facts,
    )
    closed = closed_among(expansion.days_of(chunk))
    rows = with_removals(
        [
            _new_instance(plan, expansion, cell, dropped, closed)
            for cell in chunk
            if cell.skip is None
        ]
    )
    ids = create_instances(rows, now=now, batch_id=plan.batch_id)
    _write_skips(plan, expansion, [(cell, cell.skip) for cell in chunk if cell.skip is not None])
    _move_on(plan, expansion, chunk)
    blocked = waiting_for_each_other(rows, batch_id=plan.batch_id)
    return [
        pk
        for pk, row, waits in zip(ids, rows, blocked, strict=True)
        if not waits and not row.awaits_day
    ]


def _skip_chunk(plan: Plan, expansion: _Expansion) -> None:
    """Make skips of the next cells of a locked plan that was stopped."""
    chunk = expansion.take(with_edges=False)
    skips = [(cell, cell.skip or SkipReason.STOPPED) for cell in chunk]
    _write_skips(plan, expansion, skips)
    _move_on(plan, expansion, chunk)


def _move_on(plan: Plan, expansion: _Expansion, chunk: Sequence[Cell]) -> None:
    """Note how far the plan has come, in the transaction that took it there."""
    plan.expanded_count += len(chunk)
    fields = ["expanded_count"]
    if not chunk:
        # Tasks of the plan were deleted, and their instances and skips with them.
        plan.planned_count = plan.expanded_count
        fields.append("planned_count")
    if plan.expanded_count == plan.planned_count and plan.state == PlanState.EXPANDING:
        plan.state = PlanState.TERMINATED if is_stopped(plan) else PlanState.RUNNING
        plan.ended_at = clock.now() if is_stopped(plan) else None
        fields += ["state", "ended_at"]
    plan.save(update_fields=fields)
    is_whole = plan.expanded_count == plan.planned_count
    made = expansion.days_before(None if is_whole else chunk[-1].day)
    expansion.days_touched = {*expansion.days_of(chunk), *made}
    mark_made(made, now=clock.now())


def _new_instance(
    plan: Plan, expansion: _Expansion, cell: Cell, dropped: set[Slot], closed: set[int]
) -> NewInstance:
    facts = expansion.facts[expansion.task_ids[cell.position]]
    definition = facts.definition
    assert definition is not None and facts.version_id is not None
    assert facts.resource_group_id is not None and plan.submitted_at is not None
    day_id = expansion.day_ids.get(cell.day)
    return NewInstance(
        project_id=facts.project_id,
        task_id=facts.id,
        version_id=facts.version_id,
        # Its own group, unless that was deleted since: then the one that the task has now.
        resource_group_id=expansion.groups.get(definition.resource_group, facts.resource_group_id),
        kind=Kind.BACKFILL,
        scheduled_at=cell.scheduled_at,
        data_date=cell.day - ONE_DAY,
        local_time=cell.local_time,
        priority=definition.priority,
        sort_key=sort_key(cell.day, expansion.spec.order),
        retry_limit=definition.retries.limit,
        inline=definition.task_type.virtual,
        dry=False,
        not_before=start_of(expansion.spec, cell.scheduled_at, plan.submitted_at),
        day_id=day_id,
        awaits_day=day_id in closed,
        edges=tuple(
            NewEdge(edge.task_id, edge.scheduled_at, edge.within_plan)
            for edge in cell.edges
            if edge.within_plan or (edge.task_id, edge.scheduled_at) not in dropped
        ),
    )


def _write_skips(
    plan: Plan, expansion: _Expansion, skips: Sequence[tuple[Cell, SkipReason]]
) -> None:
    copy_rows(
        Skip._meta.db_table,
        ("plan_id", "task_id", "scheduled_at", "data_date", "reason"),
        (
            (
                plan.pk,
                expansion.task_ids[cell.position],
                cell.scheduled_at,
                cell.day - ONE_DAY,
                reason.value,
            )
            for cell, reason in skips
        ),
    )
