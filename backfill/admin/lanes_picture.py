"""The lanes of a plan as a small picture: a box for each day, in the colour of its state (B10)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from urllib.parse import urlencode

from backfill.reading.day_progress import DayProgress, DayState
from instances.admin.order import PROGRESS_ORDER
from projects.ground.showing import tone_of

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
    words = [f"{counts[DayState.DONE]:,} of {len(days):,} done"]
    if counts[DayState.BLOCKED]:
        words.append(f"{counts[DayState.BLOCKED]:,} held up")
    return Lane(
        number=number,
        dates=_dates(days),
        boxes=[_box(days[start : start + size], list_url) for start in range(0, len(days), size)],
        words=", ".join(words),
    )


# What of several days is told first.
_FIRST = (DayState.BLOCKED, DayState.OPEN, DayState.WAITING, DayState.DONE)


def _box(days: list[DayProgress], list_url: str) -> Box:
    states = {day.state for day in days}
    state = next(one for one in _FIRST if one in states)
    if states == {DayState.WAITING, DayState.DONE}:
        state = DayState.OPEN  # between the two, it is where the lane is
    instances = Counter[str]()
    for day in days:
        instances.update({one.label.lower(): count for one, count in day.by_state.items()})
    spelled = ", ".join(
        f"{instances[one.label.lower()]:,} {one.label.lower()}"
        for one in PROGRESS_ORDER
        if instances[one.label.lower()]
    )
    first, last = min(day.data_date for day in days), max(day.data_date for day in days)
    query = urlencode({"data_time_from": first, "data_time_until": last})
    return Box(
        state=state,
        title=f"Data date {_dates(days)}: {state.label.lower()}; {spelled or 'no instances'}",
        href=f"{list_url}&{query}",
    )


def _dates(days: Sequence[DayProgress]) -> str:
    first, last = days[0].data_date, days[-1].data_date
    return f"{first}" if first == last else f"{first} – {last}"
