"""What holds the instances of a plan back: its end, a pause, a day that is not open."""

from __future__ import annotations

from collections import Counter

from django.db.models import Count

from instances.holds.hold import Asked, Blocker, Hold, Stage
from instances.models import BatchDay, Instance
from instances.states import UNFINISHED, State, listed


def _plan(asked: Asked) -> str:
    batch = asked.instance.batch
    assert batch is not None
    return f"The plan {batch}" if asked.sight.sees(batch.project_id) else "Its plan"


def _stopped(asked: Asked) -> list[Blocker]:
    return [Blocker(f"{_plan(asked)} was terminated.")]


def _paused(asked: Asked) -> list[Blocker]:
    return [Blocker(f"{_plan(asked)} is paused; resume it to go on.")]


def _day(asked: Asked) -> list[Blocker]:
    """Tell of the day that goes on in the lane of the instance's."""
    day, batch = asked.instance.day, asked.instance.batch
    assert day is not None and batch is not None
    if not asked.sight.sees(batch.project_id):
        return [Blocker("Its day has not opened: an earlier one of its plan is not done.")]
    lane = BatchDay.objects.filter(batch=day.batch_id, lane=day.lane)
    present = lane.filter(opened_at__isnull=False).order_by("position").last()
    assert present is not None  # the first of a lane is open from the start
    others = Instance.objects.filter(day=present).exclude(state=State.SUCCESS).order_by()
    left = Counter(dict(others.values_list("state").annotate(Count("id"))))
    between = day.position - present.position - 1
    if left:
        failed = f", {left[State.FAILED]:,} failed" if left[State.FAILED] else ""
        why = f"{left.total():,} of its instances are not success{failed}"
    elif present.made_at is None:
        why = "its instances are still being made"
    else:
        why = "the next day opens within seconds"
    then = f"; {between:,} more days come between" if between > 0 else ""
    text = f"Its day has not opened. Its group is at what is planned on {present.day}: {why}{then}."
    return [Blocker(text)]


# What an operator ran again after the end of its plan may go on.
STOPPED = Hold(
    "stopped",
    Stage.STILL,
    "b.stopped_at IS NOT NULL AND i.waiting_since <= b.stopped_at",
    _stopped,
)

PAUSED = Hold("paused", Stage.STILL, "b.paused_at IS NOT NULL", _paused, whole_batch=True)

# An earlier day of the lane is not done (B10).
DAY = Hold(
    "day",
    Stage.READY,
    """i.day_id IS NOT NULL AND (
            SELECT d.opened_at IS NULL FROM instances_batchday d WHERE d.id = i.day_id
        )""",
    _day,
    state=State.NOT_RUN,
    # Without a failure that holds them back the later days of its batch would start.
    needed=f"""EXISTS (
    SELECT FROM instances_batchday d JOIN instances_instance o ON o.batch_id = d.batch_id
    WHERE d.id = i.day_id AND d.done_at IS NULL AND o.state IN ({listed(UNFINISHED)}))""",
)
