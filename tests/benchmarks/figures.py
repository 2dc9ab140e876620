"""What a benchmark answers: figures, the limits beside which they were measured, and targets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure has to reach; what is None is not asked for.

    least_ratio, most_ratio: of figure to limit. least, most: of the figure itself, in its unit.
    """

    least_ratio: float | None = None
    most_ratio: float | None = None
    most: float | None = None
    least: float | None = None

    def is_met(self, value: float, ratio: float | None) -> bool:
        return (
            (self.least_ratio is None or (ratio is not None and ratio >= self.least_ratio))
            and (self.most_ratio is None or (ratio is not None and ratio <= self.most_ratio))
            and (self.most is None or value <= self.most)
            and (self.least is None or value >= self.least)
        )

    def text(self, unit: str) -> str:
        parts = []
        if self.least_ratio is not None:
            parts.append(f"≥ {self.least_ratio:g} ×")
        if self.most_ratio is not None:
            parts.append(f"≤ {self.most_ratio:g} ×")
        if self.most is not None:
            parts.append(f"≤ {self.most:g} {unit}")
        if self.least is not None:
            parts.append(f"≥ {self.least:,g} {unit}")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. `limit` is in the unit of `value`; `note` says what else was seen."""

    id: str
    measure: str
    value: float
    unit: str
    target: Target
    limit: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return self.value / self.limit if self.limit else None

    @property
    def ok(self) -> bool:
        return self.target.is_met(self.value, self.ratio)


Measurement = Callable[[], float]


def interleaved(
    limit: Measurement, figure: Measurement, *, repeats: int
) -> tuple[list[float], list[float]]:
    """Measure limit, figure, limit, figure … so that both see the same moods of the machine."""
    limits, figures = [], []
    for _ in range(repeats):
        limits.append(limit())
        figures.append(figure())
    return limits, figures


def spread(values: Sequence[float]) -> str:
    """The values as a note: their number, the lowest and the highest."""
    return f"{len(values)} runs, {min(values):.4g}–{max(values):.4g}"


__all__ = ["Figure", "Measurement", "Target", "interleaved", "median", "spread"]
