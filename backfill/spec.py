"""What a backfill plan asks for: the sum of its options, read and checked field by field.

Pure: which tasks exist and what their schedules say is looked at later, by context.py. An option
is declared in `backfill.options`, and from there it gets its reader, its place in the wizard, its
command option, its OpenAPI schema and its line on the plan's page.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import Any

from django.utils.translation import gettext as _

from backfill.options.dates import DatesOptions, Period
from backfill.options.dependencies import DependencyOptions
from backfill.options.entry import EntryOptions
from backfill.options.order import OrderOptions
from backfill.options.part import Part
from backfill.options.selection import SelectionOptions
from projects.ground.fields.field import Field, declared, misplaced
from projects.ground.fields.reader import FieldReader
from projects.ground.refusals import Invalid
from projects.ground.words import thousands

MAX_CELLS = 10_000_000


@dataclass(frozen=True, kw_only=True)
class PlanSpec(EntryOptions, SelectionOptions, DatesOptions, DependencyOptions, OrderOptions):
    """A checked request: the options of its parts, in their order."""

    @classmethod
    def from_mapping(cls, data: object, *, today: date | None = None) -> PlanSpec:
        """Read `data` as JSON has it: dates "YYYY-MM-DD", times "HH:MM".

        Without periods the plan is for yesterday, the day before `today` (B6); `today` None makes
        them required. Raises Invalid with every fault, by field path such as "periods.0.last".
        """
        fields = FieldReader("" if data is None else data, [field.name for field in options()])
        values = {field.name: field.read(fields) for field in options()}
        if fields.raw("periods") is None:
            if today is None:
                fields.refuse("periods", _("Give at least one period of dates."))
            else:
                yesterday = today - timedelta(days=1)
                values["periods"] = (Period(yesterday, yesterday),)
        for name, message in misplaced(options(), values):
            fields.refuse(name, message)
        for part in parts():
            part.check(values, fields)
        if fields.errors:
            raise Invalid.from_pairs(fields.errors)
        return cls(**values)

    def to_mapping(self) -> dict[str, Any]:
        """The mapping that `from_mapping` reads back as an equal spec; no list in it is empty."""
        plain = {field.name: field.plain(getattr(self, field.name)) for field in options()}
        return {name: value for name, value in plain.items() if value != []}


def parts() -> tuple[type[Part], ...]:
    """The parts of a spec, in their order."""
    return tuple(one for one in PlanSpec.__bases__ if issubclass(one, Part))


@cache
def options(step: int | None = None) -> tuple[Field, ...]:
    """The options of a plan, part by part; of one step of the wizard, if wanted."""
    return tuple(_options(step))


def _options(step: int | None) -> Iterator[Field]:
    for part in parts():
        if step in (None, part.step):
            yield from declared(part)


def too_many_cells(count: int) -> str:
    """The sentence that refuses `count` planned instances."""
    problem = _("A plan takes at most {most} instances; this one has {count}.")
    return problem.format(most=thousands(MAX_CELLS), count=thousands(count))
