"""`manage.py create_backfill`."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from backfill.models import Plan
from backfill.reading import watching
from backfill.running.expanding import expand_plan
from backfill.spec import PlanSpec
from backfill.states import PlanState
from instances.models import Instance
from projects.ground import clock
from projects.roles import Role
from tests.factories import (
    make_folder,
    make_member,
    make_project,
    make_submitted_tasks,
    make_workflow,
)
from tests.support.engine import Engine

pytestmark = pytest.mark.django_db

MAY = ("--from", "2024-05-01", "--to", "2024-05-02")


class Run:
    """A command that has ended."""

    def __init__(self, *arguments: str) -> None:
        self.code: Any = 0
        out, err = StringIO(), StringIO()
        try:
            call_command("create_backfill", *arguments, stdout=out, stderr=err)
        except SystemExit as end:
            self.code = end.code
        self.out, self.err = out.getvalue(), err.getvalue()


@pytest.fixture
def project() -> str:
    project = make_project("weather")
    flow = make_workflow("flow", project=project, folder=make_folder(project, "daily"))
    load = {"retries": {"limit": 0}}
    make_submitted_tasks({"load": load, "report": {"depends_on": ["load"]}}, workflow=flow)
    return project.name


def spec_of_plan() -> PlanSpec:
    return PlanSpec.from_mapping(Plan.objects.get().spec)


@pytest.mark.feature("B16")
def test_a_preview_shows_and_saves_nothing(project: str) -> None:
    run = Run("--project", project, "--tasks", "flow/load", *MAY, "--preview-only")
    assert run.code == 0
    assert "2 instances of 1 tasks, data dates 2024-05-01 to 2024-05-02" in run.out
    assert "flow/load" in run.out
    assert not Plan.objects.exists()


@pytest.mark.feature("B1")
def test_without_submit_the_plan_stays_a_draft(project: str) -> None:
    run = Run("--project", project, "--all", *MAY, "--name", "may", "--description", "again")
    plan = Plan.objects.get()
    assert (plan.name, plan.description, plan.state) == ("may", "again", PlanState.DRAFT)
    assert f"Plan {plan.pk}, may, is a draft." in run.out


@pytest.mark.feature("B2", "B3", "B6", "B8", "B11")
@pytest.mark.parametrize(
    "entry", [("--tasks", "flow/load"), ("--workflow", "flow"), ("--folder", "daily")]
)
def test_every_option_reaches_the_plan(project: str, entry: tuple[str, str]) -> None:
    run = Run(
        "--project", project, *entry, *MAY, "--downstream", "with", "--by", "planned_time",
        "--time-from", "01:00", "--time-until", "05:00", "--check", "selected",
        "--order", "descending", "--future", "at_once", "--mode", "day_by_day",
        "--groups", "2", "--submit",
    )  # fmt: skip
    assert run.code == 0, run.err
    assert Plan.objects.get().state == PlanState.EXPANDING
    mapping = spec_of_plan().to_mapping()
    del mapping["entry"]
    assert mapping == {
        "scope": "selected_and_downstream",
        "range_by": "planned_time",
        "periods": [{"first": "2024-05-01", "last": "2024-05-02"}],
        "time_from": "01:00",
        "time_until": "05:00",
        "dependency_check": "selected",
        "order": "descending",
        "future_runs": "at_once",
        "run_mode": "day_by_day",
        "groups": 2,
    }


@pytest.mark.feature("B6")
def test_without_dates_it_is_for_yesterday(project: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = clock.now()
    monkeypatch.setattr("django.utils.timezone.now", lambda: now)  # no midnight in between
    assert Run("--project", project, "--all").code == 0
    yesterday = now.date() - timedelta(days=1)
    assert [period.first for period in spec_of_plan().periods] == [yesterday]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--tasks", "flow/nothing"), "--tasks: There is no “flow/nothing”."),
        (("--workflow", "nothing"), "--workflow: There is no “nothing”."),
        (("--folder", "nothing"), "--folder: There is no “nothing”."),
        (("--all", "--from", "2024-05-02", "--to", "2024-05-01"), "periods.0.last: The period"),
        (("--all", "--from", "yesterday"), "periods.0.first: This must be a date"),
        (("--all", "--user", "nobody"), "--user: There is no active user “nobody”."),
        (("--all", "--wait"), "--wait: needs --submit."),
    ],
)
def test_what_is_wrong_is_told_by_field_and_nothing_is_saved(
    project: str, arguments: tuple[str, ...], line: str
) -> None:
    run = Run("--project", project, *arguments)
    assert run.code == 2
    assert run.err.startswith(line)
    assert not Plan.objects.exists()


@pytest.mark.feature("P2")
def test_the_users_rights_count(project: str) -> None:
    stranger = make_member(make_project(), Role.OPERATOR)
    run = Run("--project", project, "--all", "--user", stranger.username)
    assert (run.code, run.err) == (2, f"--project: There is no project “{project}”.\n")


def test_a_plan_needs_something_to_run() -> None:
    with pytest.raises(CommandError):
        call_command("create_backfill", "--project", "x")


@pytest.mark.feature("B21")
@pytest.mark.parametrize(("failing", "code"), [(False, 0), (True, 1)])
def test_waiting_follows_the_plan_to_its_end(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, project: str, failing: bool, code: int
) -> None:
    def work(seconds: float) -> None:
        """What would go on elsewhere between two looks at the plan."""
        plan = Plan.objects.get()
        with engine.committing():
            expand_plan(plan.pk)
        for instance in Instance.objects.filter(batch=plan.batch, state="WAITING_EXECUTION"):
            engine.run(instance, "HTTP_ERROR" if failing else "")

    monkeypatch.setattr(watching.time, "sleep", work)
    run = Run("--project", project, "--tasks", "flow/load", *MAY, "--submit", "--wait")
    assert run.code == code
    outcome = "failed" if failing else "success"
    assert run.out.rstrip().endswith(f"2 of 2 done, 2 {outcome}")
