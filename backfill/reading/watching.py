"""Following a plan in a terminal until its last instance has finished (B21)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import groupby

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from backfill.models import Plan, PlanTask
from backfill.reading.day_progress import DayProgress, DayState, days_progress
from backfill.reading.progress import Progress, progress_of, tasks_progress
from backfill.running.settling import settle_plans
from backfill.states import PlanState
from instances.states import State

POLL_SECONDS = 0.25
LOOK_SHARE = 20  # pauses are so many times as long as a look
TASKS_SHOWN = 20
# Without a terminal to draw on, a line now and then is enough.
LINE_SECONDS = 5.0

_OVER = frozenset({PlanState.COMPLETED, PlanState.TERMINATED})


def watch_plan(plan_id: int, console: Console, *, give_up: Callable[[], bool]) -> Progress:
    """Show a plan's progress until every instance has finished, or `give_up` says True.

    Draws bars on a terminal and writes lines elsewhere. Returns the last progress seen.
    """
    labels = {
        row.task_id: f"{row.task.workflow.name}/{row.task.name}"
        for row in PlanTask.objects.filter(plan=plan_id).select_related("task__workflow")
    }
    plan = Plan.objects.get(pk=plan_id)
    began = time.monotonic()
    if not console.is_terminal:
        return _follow(plan_id, give_up, _writer(console, began))
    with Live(console=console, auto_refresh=False) as live:

        def draw(progress: Progress) -> None:
            shown = _bars(tasks_progress(plan_id), labels, progress, time.monotonic() - began)
            live.update(Group(shown, *_lanes(days_progress(plan))), refresh=True)

        return _follow(plan_id, give_up, draw)


def is_over(progress: Progress) -> bool:
    """True when nothing of the plan is left to happen."""
    frozen = progress.by_state.get(State.FROZEN, 0)
    return progress.state in _OVER and progress.finished + frozen == progress.total


def summary(progress: Progress) -> str:
    """The counts in a line, such as "190 of 190 done, 190 success"."""
    counts = [
        f"{count:,} {state.label.lower()}"
        for state in State
        if (count := progress.by_state.get(state, 0))
    ]
    done = f"{progress.finished:,} of {progress.total:,} done"
    return ", ".join([done, *counts])


def _follow(
    plan_id: int, give_up: Callable[[], bool], show: Callable[[Progress], None]
) -> Progress:
    while True:
        began = time.monotonic()
        progress = progress_of([plan_id])[plan_id]
        show(progress)
        took = time.monotonic() - began
        if is_over(progress):
            settle_plans()  # beat would within seconds; whoever looks next need not wait for it
            return progress
        if give_up():
            return progress
        # A look at a large plan takes its time: spend a small share on looking.
        time.sleep(max(POLL_SECONDS, LOOK_SHARE * took))


def _writer(console: Console, began: float) -> Callable[[Progress], None]:
    last_written = began - LINE_SECONDS

    def write(progress: Progress) -> None:
        nonlocal last_written
        now = time.monotonic()
        if is_over(progress) or now - last_written >= LINE_SECONDS:
            last_written = now
            console.print(
                f"{now - began:5.1f} s  {summary(progress)}", highlight=False, soft_wrap=True
            )

    return write


def _bars(
    by_task: Mapping[int, Progress], labels: Mapping[int, str], whole: Progress, seconds: float
) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for task_id, progress in list(by_task.items())[:TASKS_SHOWN]:
        table.add_row(escape(labels[task_id]), *_row(progress))
    if len(by_task) > TASKS_SHOWN:
        table.add_row(f"… and {len(by_task) - TASKS_SHOWN:,} more tasks")
    table.add_row("[bold]all[/bold]", *_row(whole))
    return Group(table, Text(f"{seconds:5.1f} s  {summary(whole)}", style="dim"))


def _lanes(days: list[DayProgress]) -> list[RenderableType]:
    """Where each lane of a plan that runs day by day is."""
    lines: list[RenderableType] = []
    for number, lane in groupby(days, key=lambda day: day.lane):
        listed = list(lane)
        done = sum(day.state is DayState.DONE for day in listed)
        present = next((day for day in listed if day.state is not DayState.DONE), None)
        at = f", at data date {present.data_date}" if present else ""
        held = ", held up by a failure" if present and present.state is DayState.BLOCKED else ""
        lines.append(Text(f"Group {number}: {done:,} of {len(listed):,} dates done{at}{held}"))
    return lines


def _row(progress: Progress) -> tuple[RenderableType, str, str]:
    failed = progress.by_state.get(State.FAILED, 0)
    bar = ProgressBar(
        total=max(progress.total, 1),
        completed=progress.finished,
        width=32,
        complete_style="red" if failed else "green",
        finished_style="red" if failed else "green",
    )
    running = progress.by_state.get(State.RUNNING, 0)
    return bar, f"{progress.finished:,}/{progress.total:,}", f"{running} running" * bool(running)
