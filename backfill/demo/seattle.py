"""The demo's project: a real pipeline over real data, defined by the workflow file beside this.

The data are the CSV files of the package vega_datasets; results go to a folder of their own, one
subfolder for each task that writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from importlib.util import find_spec
from pathlib import Path

import duckdb

from backfill.options.dates import Period
from backfill.options.entry import Entry, EntryKind
from backfill.spec import PlanSpec
from instances.runners.users import give
from projects.access import Actor
from projects.administration.projects import create_project
from projects.models import Project
from workflows.bundles.importing import import_bundles
from workflows.bundles.schema import TaskBundle, WorkflowBundle, parse_bundle

PROJECT = "seattle"
TIME_ZONE = "America/Los_Angeles"
WORKFLOW_FILE = Path(__file__).with_name("seattle.yaml")
FIRST_WEEK = Period(date(2010, 7, 1), date(2010, 7, 7))
YEAR = (date(2010, 1, 1), date(2010, 12, 31))

_DATA_PACKAGE = "vega_datasets"
# What a path must not have, as it stands between quotes in the tasks' code.
_UNQUOTABLE = frozenset("'\"\\\n")


class DemoUnavailable(Exception):
    """The demo cannot be set up here; the message says what to do about it."""


@dataclass(frozen=True, slots=True)
class Demo:
    """The demo's project and workflow, and the folder of its results."""

    project: Project
    workflow_id: int
    folder: Path

    @property
    def spec(self) -> PlanSpec:
        """What the demo runs: the data dates 1 to 7 July 2010 of the whole workflow."""
        return PlanSpec(
            entry=Entry(EntryKind.WORKFLOWS, (self.workflow_id,)), periods=(FIRST_WEEK,)
        )


@dataclass(frozen=True, slots=True)
class Day:
    """A day's temperatures in °F."""

    date: date
    min: float
    mean: float
    max: float


def set_up(*, actor: Actor, data_directory: Path) -> Demo:
    """Make the project where it is missing, import and submit its workflow; safe to repeat.

    Raises DemoUnavailable, or a Refusal when `actor` may not.
    """
    folder = data_directory / "demo"
    bundle = read_workflow(
        {"data": str(folder), **{name: str(path) for name, path in data_files().items()}}
    )
    make_folders(folder)
    project = Project.objects.filter(name=PROJECT).first() or create_project(
        actor=actor, values={"name": PROJECT, "time_zone": TIME_ZONE}
    )
    give(project.pk, folder)
    done = import_bundles(actor=actor, project_id=project.pk, bundles=[bundle], submit=True)
    return Demo(project, done.workflows[0].id, folder)


def read_workflow(values: Mapping[str, str]) -> WorkflowBundle:
    """Read the workflow file, with `values` in the place of the parameters of those names."""
    for name, value in values.items():
        if found := _UNQUOTABLE & set(value):
            raise DemoUnavailable(f"The path of {name} has {min(found)!r} in it: {value}")
    (bundle,) = parse_bundle(WORKFLOW_FILE.read_text(encoding="utf-8"), WORKFLOW_FILE.name)
    return replace(bundle, tasks=tuple(_with_values(task, values) for task in bundle.tasks))


def data_files() -> dict[str, Path]:
    """Return the data's files by the names of the parameters that stand for them."""
    # Found without importing the package, which would bring pandas along.
    package = find_spec(_DATA_PACKAGE)
    places = list(package.submodule_search_locations or ()) if package else []
    for place in places:
        files = {
            "temperatures": Path(place) / "_data" / "seattle-temps.csv",
            "weather": Path(place) / "_data" / "seattle-weather.csv",
        }
        if all(path.is_file() for path in files.values()):
            return files
    raise DemoUnavailable(
        f"The demo's data are missing: install {_DATA_PACKAGE} (pip install 'tidemill[demo]')."
    )


def make_folders(folder: Path) -> None:
    """Make the folders that tasks write to; SQL makes files, but no folders."""
    for name in ("daily_temps", "daily_weather", "reports"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    first, last = YEAR
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        (folder / "hourly_temps" / f"date={day}").mkdir(parents=True, exist_ok=True)


def read_days(folder: Path, period: Period = FIRST_WEEK) -> list[Day]:
    """Return what daily_temps has written for the dates of the period, in order."""
    names = [
        str(path)
        for number in range(period.days)
        if (
            path := folder / "daily_temps" / f"{period.first + timedelta(days=number)}.parquet"
        ).exists()
    ]
    if not names:
        return []
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT date, min, mean, max FROM read_parquet(?) ORDER BY date", [names]
        ).fetchall()
    return [Day(*row) for row in rows]


def _with_values(task: TaskBundle, values: Mapping[str, str]) -> TaskBundle:
    parameters = task.draft.get("parameters", {})
    found = {
        # A dollar sign would begin an expression.
        name: values[name].replace("$", "$$") if name in values else value
        for name, value in parameters.items()
    }
    return replace(task, draft={**task.draft, "parameters": found}) if found else task
