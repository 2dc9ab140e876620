"""The lanes of a plan as a small picture: a box for each day, in the colour of its state (B10)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from urllib.parse import urlencode

from django.utils.translation import gettext as _

from backfill.reading.day_progress import DayProgress, DayState
from instances.admin.order import PROGRESS_ORDER
from instances.states import State
from projects.ground.showing import tone_of
from projects.ground.words import listed, thousands

# Boxes that fit side by side; of longer lanes a box stands for several days.
MOST_BOXES = 62


@dataclass(frozen=True, slots=True)
class Box:
    """A day of a lane, or several in a row; `state` is what people have to know first of them."""

    state: DayState
    title: str
    href: str

    @property
    def tone(self) -> str:
        return tone_of(f"day:{self.state.value}")


@dataclass(frozen=True, slots=True)
class Lane:
    """A lane: its boxes, and where it is, in words."""

    number: int
    dates: str
    boxes: list[Box]
    words: str


def picture(days: Sequence[DayProgress], list_url: str) -> list[Lane]:
    """Return the lanes of a plan. list_url: the list of its instances, with a query."""
    return [
        _lane(number, list(lane), list_url)
        for number, lane in groupby(days, key=lambda day: day.lane)
    ]


def _lane(number: int, days: list[DayProgress], list_url: str) -> Lane:
    size = -(-len(days) // MOST_BOXES)
    counts = Counter(day.state for day in days)
    done = _("{count} of {total} done")
    words = [done.format(count=thousands(counts[DayState.DONE]), total=thousands(len(days)))]
    if counts[DayState.BLOCKED]:
        words.append(_("{count} held up").format(count=thousands(counts[DayState.BLOCKED])))
    return Lane(
        number=number,
        dates=_dates(days),
        boxes=[_box(days[start : start + size], list_url) for start in range(0, len(days), size)],
        words=listed(words),
    )


# What of several days is told first.
_FIRST = (DayState.BLOCKED, DayState.OPEN, DayState.WAITING, DayState.DONE)


def _box(days: list[DayProgress], list_url: str) -> Box:
    states = {day.state for day in days}
    state = next(one for one in _FIRST if one in states)
    if states == {DayState.WAITING, DayState.DONE}:
        state = DayState.OPEN  # between the two, it is where the lane is
    instances = Counter[State]()
    for day in days:
        instances.update(day.by_state)
    spelled = listed(
        _("{count} {state}").format(count=thousands(instances[one]), state=one.label.lower())
        for one in PROGRESS_ORDER
        if instances[one]
    )
    title = _("Data date {dates}: {state}; {instances}").format(
        dates=_dates(days), state=state.label.lower(), instances=spelled or _("no instances")
    )
    first, last = min(day.data_date for day in days), max(day.data_date for day in days)
    query = urlencode({"data_time_from": first, "data_time_until": last})
    return Box(
        state=state,
        title=title,
        href=f"{list_url}&{query}",
    )


def _dates(days: Sequence[DayProgress]) -> str:
    first, last = days[0].data_date, days[-1].data_date
    return f"{first}" if first == last else f"{first} – {last}"
