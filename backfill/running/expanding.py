"""Making a submitted plan's instances, chunk by chunk (design §7, §5.5, §5.7).

Each chunk is one transaction that writes its instances, its skips and how far the plan has come.
The cells have a fixed order that follows from what submission fixed, so whoever dies between two
chunks, or in one, is followed by somebody who goes on exactly there. The plan's row is the lock.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import islice

import structlog
from django.db import connection, transaction
from django.db.models import F, Q

from backfill import transitions
from backfill.models import Plan, PlanTask, Skip
from backfill.options.order import RunMode
from backfill.planning.dates import ONE_DAY, planned_days
from backfill.planning.expansion import Cell, cells
from backfill.planning.facts import (
    TaskFacts,
    load_plan_links,
    load_rows,
    make_grid,
    with_definitions,
)
from backfill.planning.grid import Grid
from backfill.planning.outside import Slot, not_waited_for
from backfill.planning.preview import start_of
from backfill.spec import PlanSpec
from backfill.states import PlanState, SkipReason
from instances.engine.batches import note_batches
from instances.engine.creation import (
    NewEdge,
    NewInstance,
    create_instances,
    waiting_for_each_other,
    with_removals,
)
from instances.engine.days import closed_among, mark_made
from instances.engine.settling import go_on_with_days, set_going
from instances.models import BatchDay
from instances.states import Kind
from projects.ground import clock
from projects.ground.bulk import copy_rows
from projects.models import ResourceGroup

# Bounds of a transaction, and so of how long a termination, or another plan, waits for it.
CELLS_AT_ONCE = 5_000
EDGES_AT_ONCE = 10_000
# PostgreSQL's advisory lock of whoever makes a chunk: a number of our own.
_LOCK = 7_316_405

logger = structlog.get_logger(__name__)


def expand_in_turn(*, seconds: float) -> bool:
    """Make chunks of all plans that wait, in turn, for so long; True when cells are left then.

    The plan whose last chunk is longest ago is next, and a plan without one before it, so that a
    small plan does not wait for a large one. One plan's trouble is not another's: it is logged, and
    tried again when the others had their turn. False also when somebody else is at it.
    """
    until = time.monotonic() + seconds
    known: dict[int, _Expansion] = {}
    passed: list[int] = []  # done, held by somebody else, or in trouble
    while (plan_id := _next_plan(passed)) is not None:
        try:
            more = expand_plan(plan_id, known)
        except Exception:
            logger.exception("expansion_failed", plan_id=plan_id)
            _move_behind(plan_id)
            more = False
        if more is None:
            return False
        if not more:
            passed.append(plan_id)
        if time.monotonic() >= until:
            return _next_plan(passed) is not None
    return False


def expand_plan(plan_id: int, known: dict[int, _Expansion] | None = None) -> bool | None:
    """Make the next chunk of a plan's instances; True when cells are left.

    False also when the plan is not to be expanded, or somebody holds it; None when somebody else
    makes a chunk, of whatever plan. Once the plan has been stopped the remaining cells become skips
    with the reason STOPPED. known: what calls for further chunks need not work out again.
    """
    known = {} if known is None else known
    # Taken before the plan is looked at: what a termination overlooks is older than it.
    now = clock.now()
    with transaction.atomic():
        if not _alone():
            return None
        plan = lock_for_expansion(plan_id)
        if plan is None:
            return False
        expansion = known.pop(plan_id, None)  # and again once this chunk is made
        # Somebody else may have gone on with the plan between two chunks of ours.
        if expansion is None or expansion.next_number != plan.expanded_count:
            expansion = _Expansion.of(plan)
        ids: list[int] = []
        if is_stopped(plan):
            _skip_chunk(plan, expansion)
        else:
            ids = _make_chunk(plan, expansion, now)
        more = plan.expanded_count < plan.planned_count
    if more:
        known[plan_id] = expansion
    set_going(ids)
    # Days that were finished, or opened, while this chunk was made.
    go_on_with_days(expansion.days_touched)
    return more


def _next_plan(passed: Collection[int]) -> int | None:
    waiting = Plan.objects.filter(
        Q(state=PlanState.EXPANDING)
        | Q(state=PlanState.TERMINATED, expanded_count__lt=F("planned_count"))
    ).exclude(pk__in=passed)
    order = (F("expanded_at").asc(nulls_first=True), "pk")
    return waiting.order_by(*order).values_list("pk", flat=True).first()


def _move_behind(plan_id: int) -> None:
    """Put a plan behind the others, though no chunk of it was made.

    Else it would be first in every job, and one whose failure takes long, such as a timeout, would
    use up the time of each. One that somebody holds stays where it is: that is found out at once.
    """
    with transaction.atomic():
        plan = Plan.objects.select_for_update(skip_locked=True, of=("self",)).filter(pk=plan_id)
        for found in plan:
            found.expanded_at = clock.now()
            found.save(update_fields=["expanded_at"])


def _alone() -> bool:
    """Become the one who makes a chunk until the end of the transaction, if nobody else is.

    One chunk at a time in the whole installation, of whatever plan: the other processes of the
    system queue are free for what has its time.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        return bool(cursor.fetchone()[0])


def lock_for_expansion(plan_id: int) -> Plan | None:
    """Lock a plan with cells left, or return None: it is done, or somebody holds it."""
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
    day_keys: Mapping[date, int]  # sort keys of its days, when it runs day by day
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
        links, upstream_versions = load_plan_links(plan)
        rows = load_rows({*task_ids, *upstream_versions})
        facts = with_definitions(list(rows.values()), versions=upstream_versions | versions)
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
            day_keys=_day_keys(spec, plan.planned_count) if days else {},
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
            (task_id, at)
            for cell in chunk
            for task_id, at, within_plan in cell.edges
            if not within_plan
        },
        expansion.facts,
    )
    closed = closed_among(expansion.days_of(chunk))
    rows = with_removals(
        [
            _new_instance(plan, expansion, cell, number, dropped, closed)
            for number, cell in enumerate(chunk, plan.expanded_count + 1)
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
    plan.expanded_at = clock.now()
    fields = ["expanded_count", "expanded_at"]
    if not chunk:
        # Tasks of the plan were deleted, and their instances and skips with them.
        plan.planned_count = plan.expanded_count
        fields.append("planned_count")
    plan.save(update_fields=fields)
    is_whole = plan.expanded_count == plan.planned_count
    if is_whole and plan.state == PlanState.EXPANDING:
        transitions.end_expansion(plan, stopped=is_stopped(plan), now=clock.now())
    if is_whole and plan.batch_id is not None:
        note_batches([plan.batch_id])  # all of it may have ended, or been taken up, by now
    made = expansion.days_before(None if is_whole else chunk[-1].day)
    expansion.days_touched = {*expansion.days_of(chunk), *made}
    mark_made(made, now=clock.now())


def _day_keys(spec: PlanSpec, planned_count: int) -> dict[date, int]:
    """Sort keys of the days in the plan's order, about as many apart as a day has cells.

    Lanes are made side by side, so that the number of a cell is not its place in that order (B11).
    """
    days = planned_days(spec)
    apart = -(-planned_count // len(days))
    return {day: 1 + place * apart for place, day in enumerate(days)}


def _new_instance(
    plan: Plan,
    expansion: _Expansion,
    cell: Cell,
    number: int,
    dropped: set[Slot],
    closed: set[int],
) -> NewInstance:
    """number: of the cell in the plan, from 1 on: its place in the plan's order."""
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
        sort_key=expansion.day_keys.get(cell.day, number),
        retry_limit=definition.retries.limit,
        inline=definition.task_type.virtual,
        dry=False,
        not_before=start_of(expansion.spec, cell.scheduled_at, plan.submitted_at),
        day_id=day_id,
        awaits_day=day_id in closed,
        edges=tuple(
            NewEdge(task_id, at, within_plan)
            for task_id, at, within_plan in cell.edges
            if within_plan or (task_id, at) not in dropped
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
