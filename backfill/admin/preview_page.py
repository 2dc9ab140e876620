"""How a preview is shown: figures, days as bars, tasks, the first instances (B16)."""

from __future__ import annotations

from typing import Any

from backfill.preview import DayLine, Preview
from backfill.states import SkipReason
from projects.models import Project

# Bars that fit side by side; longer plans are drawn in groups of days.
MOST_BARS = 120


def preview_context(preview: Preview, project: Project) -> dict[str, Any]:
    """Return what the preview step shows."""
    return {
        "preview": preview,
        "skipped_total": sum(preview.skipped.values()),
        "zone": project.time_zone,
        "bars": day_bars(preview.days),
        "skips": [
            (SkipReason(reason).label, number)
            for reason, number in preview.skipped.items()
            if number
        ],
    }


def day_bars(days: tuple[DayLine, ...]) -> list[dict[str, Any]]:
    """Return a bar for each day, or for each group of days, with its height in percent."""
    size = max(1, -(-len(days) // MOST_BARS))
    groups = [days[start : start + size] for start in range(0, len(days), size)]
    totals = [sum(day.instances for day in group) for group in groups]
    most = max(totals, default=0) or 1
    return [
        {
            "height": f"{max(100 * total / most, 2):.1f}",
            "title": _title(group, total),
        }
        for group, total in zip(groups, totals, strict=True)
    ]


def _title(group: tuple[DayLine, ...], total: int) -> str:
    first, last = group[0].data_date, group[-1].data_date
    dates = f"{first}" if first == last else f"{first} – {last}"
    skipped = sum(day.skipped for day in group)
    text = f"Data date {dates}: {total:,} instances"
    return f"{text}, {skipped:,} skipped" if skipped else text
