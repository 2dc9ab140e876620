"""What a plan would do, before it does anything (B16).

Counts come from schedules, without making a cell; tasks, days and edges from the very functions
that expansion uses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from heapq import merge
from itertools import islice

from django.utils.translation import gettext as _

from backfill.options.order import FutureRuns
from backfill.planning.context import PlanContext, load_context
from backfill.planning.counting import GridCount, count_grid
from backfill.planning.dates import ONE_DAY
from backfill.planning.grid import GridTask
from backfill.planning.isolation import IsolatedCell, Isolation, find_isolated
from backfill.planning.lane_order import Crossing, find_crossing
from backfill.planning.lanes import Lanes, lanes_of
from backfill.planning.selection import OBSTACLE_SENTENCES, Obstacle, some_of
from backfill.spec import MAX_CELLS, PlanSpec, too_many_cells
from backfill.states import SkipReason
from projects.access import Actor, require
from projects.ground.refusals import Invalid
from projects.ground.showing import instant_text
from projects.ground.words import thousands
from projects.models import Project
from projects.roles import Right
from workflows.choices import TaskStatus, cycle_label
from workflows.status import status_at

FIRST_CELLS = 200


@dataclass(frozen=True, slots=True)
class DayLine:
    """What is planned on a local day, and its lane in a plan that runs day by day.

    Days without a cell have no line.
    """

    planned_date: date
    data_date: date
    instances: int
    skipped: int
    lane: int | None = None


@dataclass(frozen=True, slots=True)
class LaneLine:
    """Dates that run one after the other, from `first_data_date` on in the plan's order (B10)."""

    number: int
    first_data_date: date
    last_data_date: date
    days: int
    instances: int


@dataclass(frozen=True, slots=True)
class TaskLine:
    """A task of the plan. `level` 0 waits for no other task of the plan on the same day."""

    id: int
    label: str
    project_id: int
    status: str
    cycle: str
    level: int
    instances: int
    skipped: int

    @property
    def cycle_label(self) -> str:
        """Its cycle as its reader calls it."""
        return cycle_label(self.cycle)

    @property
    def status_label(self) -> str:
        """The status as people say it."""
        return str(TaskStatus(self.status).label)


@dataclass(frozen=True, slots=True)
class CellLine:
    """An instance that the plan would make. It starts at `not_before` at the earliest."""

    task_id: int
    label: str
    scheduled_at: datetime
    data_date: date
    not_before: datetime


@dataclass(frozen=True, slots=True)
class DownstreamLine:
    """A task downstream of the roots that may be chosen, and whether it is."""

    id: int
    label: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class PlanWarning:
    """Something to know before submitting: a code, a sentence, the tasks that it is about.

    Codes: "isolated", "left_out", "paused", "invalid", "skipped", "later_day".
    """

    code: str
    message: str
    task_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Preview:
    """cell_count = instance_count + the sum of `skipped`. level_count: how many tasks deep the
    longest chain is, at most so many waves a day. first_cells: the first 200 in expected order of
    their start. lanes: empty when the plan runs by dependency.
    """

    project_id: int
    first_data_date: date
    last_data_date: date
    task_count: int
    cell_count: int
    instance_count: int
    dry_count: int
    skipped: Mapping[SkipReason, int]
    level_count: int
    days: tuple[DayLine, ...]
    lanes: tuple[LaneLine, ...]
    tasks: tuple[TaskLine, ...]
    first_cells: tuple[CellLine, ...]
    downstream: tuple[DownstreamLine, ...]
    warnings: tuple[PlanWarning, ...]


def preview(*, actor: Actor, project_id: int, spec: PlanSpec, now: datetime) -> Preview:
    """Say what the plan would do. A constant number of queries, however large the plan is.

    Raises NotFound, Forbidden, or Invalid at the field at fault; a plan without a single instance
    is Invalid with the code "nothing_to_do".
    """
    require(actor, project_id, Right.OPERATE)
    project = Project.objects.get(pk=project_id)
    context = load_context(actor=actor, project=project, spec=spec)
    count = checked_count(context)
    return _summarise(context, count, now)


def checked_count(context: PlanContext) -> GridCount:
    """Count the plan's cells, and refuse too many of them as well as none."""
    count = count_grid(context.grid)
    if count.cells > MAX_CELLS:
        raise Invalid.from_pairs([("periods", too_many_cells(count.cells))], code="too_many_cells")
    if not count.instances:
        raise Invalid.from_pairs([("periods", _nothing(count))], code="nothing_to_do")
    return count


def start_of(spec: PlanSpec, scheduled_at: datetime, now: datetime) -> datetime:
    """The instant before which an instance does not start (B7)."""
    if spec.future_runs is FutureRuns.AT_ONCE:
        return now
    return max(scheduled_at, now)


def _nothing(count: GridCount) -> str:
    if count.cells:
        return _("All dates of these periods are outside the tasks' effective ranges.")
    return _("None of the tasks is planned on a date and at a time of these periods.")


def _summarise(context: PlanContext, count: GridCount, now: datetime) -> Preview:
    selection = context.selection
    chosen = set(selection.task_ids)
    lanes = lanes_of(context.spec)
    lane_of = {day: number for number, lane in enumerate(lanes, 1) for day in lane}
    days = sorted(day for day, cells_of_day in count.cells_by_day.items() if cells_of_day)
    return Preview(
        project_id=context.project.pk,
        first_data_date=min(context.grid.days) - ONE_DAY,
        last_data_date=max(context.grid.days) - ONE_DAY,
        task_count=len(selection.task_ids),
        cell_count=count.cells,
        instance_count=count.instances,
        dry_count=0,
        skipped=count.skipped,
        level_count=max(selection.levels.values()) + 1,
        days=tuple(
            DayLine(
                planned_date=day,
                data_date=day - ONE_DAY,
                instances=count.instances_by_day.get(day, 0),
                skipped=count.cells_by_day[day] - count.instances_by_day.get(day, 0),
                lane=lane_of.get(day),
            )
            for day in days
        ),
        lanes=tuple(
            LaneLine(
                number=number,
                first_data_date=lane[0] - ONE_DAY,
                last_data_date=lane[-1] - ONE_DAY,
                days=len(lane),
                instances=sum(count.instances_by_day.get(day, 0) for day in lane),
            )
            for number, lane in enumerate(lanes, 1)
        ),
        tasks=_task_lines(context, count, now),
        first_cells=_first_cells(context, count, now),
        downstream=tuple(
            DownstreamLine(pk, label, pk in chosen) for pk, label in context.choices.items()
        ),
        warnings=tuple(_warnings(context, count, lanes, now)),
    )


def _task_lines(context: PlanContext, count: GridCount, now: datetime) -> tuple[TaskLine, ...]:
    lines = []
    for pk, task_count in zip(context.selection.task_ids, count.by_task, strict=True):
        facts = context.facts[pk]
        lines.append(
            TaskLine(
                id=pk,
                label=facts.label,
                project_id=facts.project_id,
                status=status_at(facts, now).value,
                cycle=facts.cycle,
                level=context.selection.levels[pk],
                instances=task_count.instances,
                skipped=task_count.cells - task_count.instances,
            )
        )
    return tuple(lines)


def _first_cells(context: PlanContext, count: GridCount, now: datetime) -> tuple[CellLine, ...]:
    """The first instances: by day in the order of their start, within it by level, priority and
    time.
    """
    lines: list[CellLine] = []
    for day in context.grid.days:
        if len(lines) >= FIRST_CELLS:
            break
        if not count.instances_by_day.get(day):
            continue
        for position, scheduled_at in _first_of_day(context, day, FIRST_CELLS - len(lines)):
            task_id = context.selection.task_ids[position]
            lines.append(
                CellLine(
                    task_id=task_id,
                    label=context.label(task_id),
                    scheduled_at=scheduled_at,
                    data_date=day - ONE_DAY,
                    not_before=start_of(context.spec, scheduled_at, now),
                )
            )
    return tuple(lines)


def _first_of_day(context: PlanContext, day: date, limit: int) -> list[tuple[int, datetime]]:
    """(position, planned time) of the day's first instances."""
    slots_of = {
        schedule: context.grid.slots(schedule, day)
        for schedule in {task.schedule for task in context.grid.tasks}
    }

    def of_task(position: int, task: GridTask) -> Iterator[tuple[int, int, datetime, int]]:
        level, priority = context.selection.levels[task.id], context.facts[task.id].priority
        for slot in slots_of[task.schedule]:
            if slot.effective:
                yield level, -priority, slot.scheduled_at, position

    # Each task's instances are in this order already: merge them as far as they are wanted.
    streams = [of_task(position, task) for position, task in enumerate(context.grid.tasks)]
    return [(position, at) for *_, at, position in islice(merge(*streams), limit)]


def _warnings(
    context: PlanContext, count: GridCount, lanes: Lanes, now: datetime
) -> list[PlanWarning]:
    found: list[PlanWarning] = []
    for obstacle in Obstacle:
        left_out = [one for one in context.selection.left_out if one.obstacle is obstacle]
        if left_out:
            names = some_of([one.label for one in left_out])
            sentence = _("Left out: {tasks}. {obstacle}.")
            found.append(
                PlanWarning(
                    "left_out",
                    sentence.format(tasks=names, obstacle=OBSTACLE_SENTENCES[obstacle]),
                    tuple(one.id for one in left_out),
                )
            )
    found += _status_warnings(context, now)
    skipped = count.cells - count.instances
    if skipped:
        task_ids = [
            pk
            for pk, of_task in zip(context.selection.task_ids, count.by_task, strict=True)
            if of_task.cells > of_task.instances
        ]
        found.append(
            PlanWarning(
                "skipped",
                _(
                    "{count} of {total} planned instances are outside the effective range of their"
                    " task and are skipped."
                ).format(count=thousands(skipped), total=thousands(count.cells)),
                tuple(task_ids),
            )
        )
    isolation = find_isolated(context.grid, count, context.facts)
    if isolation.count:
        found.append(_isolation_warning(context, isolation))
    crossing = find_crossing(context.grid, count, lanes)
    if crossing.first is not None:
        found.append(_crossing_warning(context, crossing, crossing.first))
    return found


def _status_warnings(context: PlanContext, now: datetime) -> list[PlanWarning]:
    statuses = {pk: status_at(context.facts[pk], now) for pk in context.selection.task_ids}
    invalid, paused = (
        [pk for pk, status in statuses.items() if status is wanted]
        for wanted in (TaskStatus.INVALID, TaskStatus.PAUSED)
    )
    return [
        PlanWarning(code, sentence.format(names=some_of([context.label(pk) for pk in ids])), ids)
        for code, sentence, ids in (
            ("paused", _("Paused, and run by this plan all the same: {names}."), tuple(paused)),
            (
                "invalid",
                _(
                    "No longer in their effective range, and run for its dates all the same:"
                    " {names}."
                ),
                tuple(invalid),
            ),
        )
        if ids
    ]


def _isolation_warning(context: PlanContext, isolation: Isolation) -> PlanWarning:
    first = isolation.examples[0]
    upstream = context.label(first.upstream_task_id)
    if context.sees(first.upstream_task_id):
        upstream = _instance(context, first.upstream_task_id, first.upstream_scheduled_at)
    sentence = _(
        "{count} instances would wait for something that will not come, first {first} for"
        " {upstream}."
    ).format(
        count=_counted(isolation.count, is_exact=isolation.exact),
        first=_instance(context, first.task_id, first.scheduled_at),
        upstream=upstream,
    )
    return PlanWarning("isolated", sentence, isolation.upstream_ids)


def _crossing_warning(context: PlanContext, crossing: Crossing, first: IsolatedCell) -> PlanWarning:
    sentence = _(
        "{count} instances would wait for a later day of their group, which opens only after"
        " theirs is done, first {first} for {upstream}. Run by dependency, or in the other order."
    ).format(
        count=_counted(crossing.count, is_exact=crossing.exact),
        first=_instance(context, first.task_id, first.scheduled_at),
        upstream=_instance(context, first.upstream_task_id, first.upstream_scheduled_at),
    )
    return PlanWarning("later_day", sentence, crossing.task_ids)


def _counted(number: int, *, is_exact: bool) -> str:
    return thousands(number) if is_exact else _("At least {count}").format(count=thousands(number))


def _instance(context: PlanContext, task_id: int, scheduled_at: datetime) -> str:
    name = _("{task} of {time}")
    return name.format(task=context.label(task_id), time=instant_text(scheduled_at))
