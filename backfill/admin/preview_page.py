"""How a preview is shown: figures, days as columns, tasks, the first instances (B16)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from backfill.planning.preview import DayLine, Preview
from backfill.states import SkipReason
from projects.console.drawing.columns import Column, draw_columns
from projects.ground.words import thousands

# Columns that fit side by side; of a longer plan a column stands for several days.
MOST_COLUMNS = 120


def preview_context(preview: Preview) -> dict[str, Any]:
    """Return what the preview step shows."""
    return {
        "preview": preview,
        "skipped_total": sum(preview.skipped.values()),
        "chart": draw_columns(day_columns(preview.days), label=_("Instances a day")),
        "days_a_column": days_a_column(preview.days),
        "skips": [
            (SkipReason(reason).label, number)
            for reason, number in preview.skipped.items()
            if number
        ],
    }


def days_a_column(days: Sequence[DayLine]) -> int:
    """Return how many days a column stands for."""
    return max(1, -(-len(days) // MOST_COLUMNS))


def day_columns(days: Sequence[DayLine]) -> list[Column]:
    """Return a column for each day, or for several days: as wide as they are many, and as high as
    their mean, so that the last one, of fewer days, looks like what it is.
    """
    size = days_a_column(days)
    groups = [days[start : start + size] for start in range(0, len(days), size)]
    return [
        Column(
            label=f"{group[0].data_date}",
            value=sum(day.instances for day in group) / len(group),
            hint=_hint(group),
            weight=len(group),
        )
        for group in groups
    ]


def _hint(group: Sequence[DayLine]) -> str:
    first, last = group[0].data_date, group[-1].data_date
    total, skipped = (sum(getattr(day, name) for day in group) for name in ("instances", "skipped"))
    text = ngettext(
        "Data date {date}: {count} instances", "Data date {date}: {count} instances", total
    ).format(date=first, count=thousands(total))
    if len(group) > 1:
        mean = number_format(round(total / len(group), 1), force_grouping=True).removesuffix(".0")
        several = _("Data dates {first} – {last}: {mean} instances a day, {count} in {days} days")
        count = thousands(total)
        text = several.format(first=first, last=last, mean=mean, count=count, days=len(group))
    if not skipped:
        return text
    return _("{text}, {count} skipped").format(text=text, count=thousands(skipped))
