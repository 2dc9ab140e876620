"""The demo's project: what it plans, and that its code computes what the data say."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pyarrow.parquet as parquet
import pytest

from backfill.demo import seattle
from backfill.demo.seattle import (
    FIRST_WEEK,
    TIME_ZONE,
    Day,
    Demo,
    DemoUnavailable,
    data_files,
    read_days,
    read_workflow,
    set_up,
)
from backfill.planning.preview import preview
from projects.models import Project
from workflows.definitions.definition import TaskDefinition
from workflows.parameters.context import Context
from workflows.parameters.rendering import render
from workflows.parameters.resolution import code_values

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def demo(db: None, tmp_path: Path) -> Demo:
    return set_up(actor=None, data_directory=tmp_path)


def code_of(folder: Path, task_name: str, scheduled_at: datetime) -> str:
    """The code of a task's instance, parameters filled in."""
    values = {"data": str(folder), **{name: str(path) for name, path in data_files().items()}}
    (task,) = (task for task in read_workflow(values).tasks if task.name == task_name)
    definition = TaskDefinition.from_mapping(task.draft, time_zone=TIME_ZONE)
    context = Context(
        scheduled_at=scheduled_at,
        time_zone=TIME_ZONE,
        task_id=1,
        task_name=task_name,
        workflow="seattle_temperatures",
        project="seattle",
        instance_id=1,
        interval_start=None,
        interval_end=scheduled_at,
    )
    return render(definition.code, code_values(definition.parameters, context))


def planned(day: date, hour: int) -> datetime:
    """When the data of a date and hour are planned to be worked on."""
    local = datetime.combine(day + timedelta(days=1), datetime.min.time(), ZoneInfo(TIME_ZONE))
    return local.replace(hour=hour).astimezone(UTC)


def run_sql(code: str) -> None:
    with duckdb.connect() as connection:
        connection.execute(code)


def temperatures() -> Iterator[tuple[str, Fraction]]:
    with data_files()["temperatures"].open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield row["date"], Fraction(row["temp"])


@pytest.mark.feature("B16")
def test_the_first_week_of_july_has_190_instances(demo: Demo) -> None:
    shown = preview(actor=None, project_id=demo.project.pk, spec=demo.spec, now=NOW)
    counts = {line.label.partition("/")[2]: line.instances for line in shown.tasks}
    assert counts == {
        "start": 7,
        "hourly_temps": 168,
        "daily_temps": 7,
        "daily_weather": 7,
        "monthly_report": 1,
    }
    assert shown.cell_count == shown.instance_count == 190
    assert [warning.code for warning in shown.warnings] == ["invalid"]


def test_setting_up_again_changes_nothing(demo: Demo) -> None:
    again = set_up(actor=None, data_directory=demo.folder.parent)
    assert again == demo
    assert Project.objects.filter(name="seattle").count() == 1
    numbers = demo.project.tasks.values_list("version__number", flat=True)
    assert set(numbers) == {1}


def test_daily_results_agree_with_the_data_to_the_digit(demo: Demo) -> None:
    day = date(2010, 7, 4)
    for hour in range(24):
        run_sql(code_of(demo.folder, "hourly_temps", planned(day, hour)))
    files = sorted((demo.folder / "hourly_temps" / f"date={day}").iterdir())
    assert [path.name for path in files] == [f"hour={hour:02d}.parquet" for hour in range(24)]
    run_sql(code_of(demo.folder, "daily_temps", planned(day, 2)))
    values = [value for moment, value in temperatures() if moment.startswith("2010/07/04")]
    assert len(values) == 24
    assert read_days(demo.folder) == [
        Day(day, float(min(values)), float(sum(values) / 24), float(max(values)))
    ]
    table = parquet.read_table(demo.folder / "daily_temps" / f"{day}.parquet")
    assert table.column_names == ["date", "min", "mean", "max"]
    assert [path.name for path in (demo.folder / "daily_temps").iterdir()] == [f"{day}.parquet"]


def test_a_day_without_temperatures_fails_and_writes_nothing(demo: Demo) -> None:
    day = date(2010, 7, 4)
    with pytest.raises(duckdb.Error):
        run_sql(code_of(demo.folder, "daily_temps", planned(day, 2)))
    # A partition without a row, as of an hour that is not in the data.
    run_sql(code_of(demo.folder, "hourly_temps", planned(date(2010, 3, 14), 3)))
    with pytest.raises(duckdb.Error, match=r"There is no temperature of 2010-03-14\."):
        run_sql(code_of(demo.folder, "daily_temps", planned(date(2010, 3, 14), 2)))
    assert list((demo.folder / "daily_temps").glob("[0-9]*")) == []


def test_normals_are_of_the_calendar_day_over_four_years(demo: Demo) -> None:
    run_sql(code_of(demo.folder, "daily_weather", planned(date(2010, 7, 1), 2)))
    (row,) = parquet.read_table(demo.folder / "daily_weather" / "2010-07-01.parquet").to_pylist()
    with data_files()["weather"].open(encoding="utf-8") as file:
        days = [row for row in csv.DictReader(file) if row["date"].endswith("/07/01")]
    assert row["years"] == len(days) == 4
    mean = sum(Fraction(day["temp_max"]) for day in days) / 4
    assert row["normal_max"] == pytest.approx(float(mean * 9 / 5 + 32))


def test_the_report_draws_the_days_since_the_last_one(demo: Demo) -> None:
    for day in (date(2010, 7, 6), date(2010, 7, 7)):
        for hour in (0, 12):
            run_sql(code_of(demo.folder, "hourly_temps", planned(day, hour)))
        run_sql(code_of(demo.folder, "daily_temps", planned(day, 2)))
    run_sql(code_of(demo.folder, "daily_weather", planned(date(2010, 7, 7), 2)))
    code = code_of(demo.folder, "monthly_report", planned(FIRST_WEEK.last, 6))
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    page = (demo.folder / "reports" / "2010-07-07.html").read_text(encoding="utf-8")
    assert "Seattle, 2010-07-06 to 2010-07-07" in page
    assert (page.count("<circle"), page.count('class="normal"')) == (2, 1)


def test_missing_data_are_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seattle, "_DATA_PACKAGE", "no_such_package")
    with pytest.raises(DemoUnavailable, match="install no_such_package"):
        data_files()


def test_a_path_that_would_break_out_of_its_quotes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DemoUnavailable, match="in it"):
        set_up(actor=None, data_directory=tmp_path / "o'hara")
    assert list(tmp_path.iterdir()) == []


def test_a_dollar_sign_in_a_path_stands_for_itself(tmp_path: Path) -> None:
    folder = tmp_path / "$bizdate ${yyyy}"
    assert str(folder) in code_of(folder, "daily_temps", planned(date(2010, 7, 1), 2))
