"""What holds the instances of a plan back: its end, a pause, a day that is not open."""

from __future__ import annotations

from collections import Counter

from django.db.models import Count
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from instances.holds.hold import Asked, Blocker, Hold, Stage
from instances.models import BatchDay, Instance
from instances.states import UNFINISHED, State, listed
from projects.ground.words import thousands


def _stopped(asked: Asked) -> list[Blocker]:
    named, unnamed = _("The plan {plan} was terminated."), _("Its plan was terminated.")
    return [_of_plan(asked, named, unnamed)]


def _paused(asked: Asked) -> list[Blocker]:
    named = _("The plan {plan} is paused; resume it to go on.")
    return [_of_plan(asked, named, _("Its plan is paused; resume it to go on."))]


def _of_plan(asked: Asked, named: str, unnamed: str) -> Blocker:
    batch = asked.instance.batch
    assert batch is not None
    return Blocker(named.format(plan=batch) if asked.sight.sees(batch.project_id) else unnamed)


def _day(asked: Asked) -> list[Blocker]:
    """Tell of the day that goes on in the lane of the instance's."""
    day, batch = asked.instance.day, asked.instance.batch
    assert day is not None and batch is not None
    if not asked.sight.sees(batch.project_id):
        return [Blocker(_("Its day has not opened: an earlier one of its plan is not done."))]
    lane = BatchDay.objects.filter(batch=day.batch_id, lane=day.lane)
    present = lane.filter(opened_at__isnull=False).order_by("position").last()
    assert present is not None  # the first of a lane is open from the start
    others = Instance.objects.filter(day=present).exclude(state=State.SUCCESS).order_by()
    left = Counter(dict(others.values_list("state").annotate(Count("id"))))
    between = day.position - present.position - 1
    if left[State.FAILED]:
        why = ngettext(
            "{count} of its instances is not success, {failed} failed",
            "{count} of its instances are not success, {failed} failed",
            left.total(),
        ).format(count=thousands(left.total()), failed=thousands(left[State.FAILED]))
    elif left:
        why = ngettext(
            "{count} of its instances is not success",
            "{count} of its instances are not success",
            left.total(),
        ).format(count=thousands(left.total()))
    elif present.made_at is None:
        why = _("its instances are still being made")
    else:
        why = _("the next day opens within seconds")
    if between > 0:
        text = ngettext(
            "Its day has not opened. Its group is at what is planned on {date}: {why};"
            " {count} more day comes between.",
            "Its day has not opened. Its group is at what is planned on {date}: {why};"
            " {count} more days come between.",
            between,
        )
    else:
        text = _("Its day has not opened. Its group is at what is planned on {date}: {why}.")
    return [Blocker(text.format(date=present.day, why=why, count=thousands(between)))]


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
