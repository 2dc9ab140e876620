"""Backfill plans: the wizard from tasks to submission, the list, the page, termination."""

from __future__ import annotations

import re
from datetime import date, timedelta
from html import unescape
from typing import Any

import pytest
from django.utils import timezone

from backfill.admin.lanes_picture import picture
from backfill.models import Plan
from backfill.reading.day_progress import DayProgress, DayState
from backfill.running.expanding import expand_plan
from backfill.running.settling import settle_plans
from backfill.states import PlanState
from instances.engine.batches import note_batches
from instances.models import Instance
from instances.states import State
from tests.admin.browsing import Browser, Page
from tests.api.world import World
from tests.factories import make_submitted_tasks
from tests.factories.plans import make_expanded_plan, make_spec

pytestmark = pytest.mark.django_db

NEW = "backfill_plan_add"
LIST = "backfill_plan_changelist"


def asked(world: World, **changes: Any) -> dict[str, Any]:
    """Return what the wizard's form sends: the first task, over two data dates."""
    return {
        "go": "3",
        "project": world.place.project.pk,
        "kind": "tasks",
        "ids_tasks": [world.place.up.pk],
        "scope": "selected",
        "range_by": "data_date",
        "period_first": ["2024-05-01"],
        "period_last": ["2024-05-02"],
        "time_from": "00:00",
        "time_until": "23:59",
        "dependency_check": "all",
        "order": "ascending",
        "future_runs": "when_due",
        "run_mode": "by_dependency",
        "groups": "",
        "name": "",
        "description": "",
        **changes,
    }


def ask(browser: Browser, world: World, **changes: Any) -> Page:
    return browser.post(NEW, data=asked(world, **changes))


@pytest.mark.feature("B6")
def test_the_wizard_begins_with_yesterday(
    world: World, operator: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = timezone.now()
    monkeypatch.setattr("django.utils.timezone.now", lambda: now)  # no midnight in between
    yesterday = (now.date() - timedelta(days=1)).isoformat()
    page = operator.get(NEW)
    assert page.context["step"] == 1
    assert page.context["wanted"].periods == [(yesterday, yesterday)]


@pytest.mark.feature("B16")
def test_the_preview_tells_tasks_instances_days_order_and_warnings(
    world: World, operator: Browser
) -> None:
    page = ask(operator, world, scope="selected_and_downstream")
    assert page.context["step"] == 3
    preview = page.context["preview"]
    assert (preview.task_count, preview.instance_count, preview.skipped) == (2, 4, {})
    assert [str(day.data_date) for day in preview.days] == ["2024-05-01", "2024-05-02"]
    assert [cell.label for cell in preview.first_cells][:2] == [
        f"{world.place.workflow.name}/up",
        f"{world.place.workflow.name}/down",
    ]
    assert "Submit 4 instances" in page.text
    assert "Data date 2024-05-01: 2 instances" in page.html
    assert not Plan.objects.filter(created_by=world.users["operator"]).exists()


@pytest.mark.feature("B2", "B6", "B8", "B10", "B11")
@pytest.mark.parametrize(
    ("changes", "step", "path", "message"),
    [
        ({"ids_tasks": []}, 1, "entry.ids", "Choose at least one"),
        ({"project": 2**40}, 1, "project", "Choose a project"),
        ({"ids_tasks": [2**40]}, 1, "entry.ids.0", "There is no task"),
        ({"scope": "sideways"}, 1, "scope", "is not one of"),
        ({"period_last": ["2024-04-01"]}, 2, "periods.0.last", "before it starts"),
        ({"period_first": ["soon"]}, 2, "periods.0.first", "a date of the calendar"),
        ({"period_first": [], "period_last": []}, 2, "periods", "at least one period"),
        (
            {"period_first": ["2024-05-01"] * 11, "period_last": ["2024-05-01"] * 11},
            2,
            "periods",
            "at most 10 periods",
        ),
        ({"time_from": "12:00", "time_until": "11:00"}, 2, "time_until", "before the start"),
        ({"time_from": "noon"}, 2, "time_from", "time of day"),
        ({"order": "random"}, 2, "order", "is not one of"),
        ({"dependency_check": "some"}, 2, "dependency_check", "is not one of"),
        ({"run_mode": "week_by_week"}, 2, "run_mode", "is not one of"),
        ({"run_mode": "day_by_day", "groups": "11"}, 2, "groups", "between 2 and 10"),
        ({"run_mode": "day_by_day", "groups": "many"}, 2, "groups", "a whole number"),
    ],
)
def test_a_fault_is_shown_at_its_field_in_its_step(
    world: World, operator: Browser, changes: dict[str, Any], step: int, path: str, message: str
) -> None:
    page = ask(operator, world, **changes)
    assert page.context["step"] == step
    assert message in " ".join(page.context["wanted"].errors[path])
    assert message in page.text.replace("&quot;", '"') or message in page.html
    refused = ask(operator, world, go="submit", **changes)
    assert refused.context["step"] == step
    assert not Plan.objects.filter(created_by=world.users["operator"]).exists()


def test_going_back_loses_nothing(world: World, operator: Browser) -> None:
    sent = {
        "go": "1",
        "scope": "only_downstream",
        "order": "descending",
        "period_first": ["2024-05-01", "2024-06-01"],
        "period_last": ["2024-05-02", "2024-06-03"],
        "name": "mine",
        "description": "because",
        "time_until": "10:00",
    }
    wanted = ask(operator, world, **sent).context["wanted"]
    assert (wanted.scope, wanted.values["order"], wanted.name) == (
        "only_downstream",
        "descending",
        "mine",
    )
    assert wanted.periods == [("2024-05-01", "2024-05-02"), ("2024-06-01", "2024-06-03")]
    assert (wanted.description, wanted.values["time_until"]) == ("because", "10:00")
    assert wanted.ids == [world.place.up.pk]


@pytest.mark.feature("B3")
@pytest.mark.item("0.12")
def test_downstream_tasks_are_chosen_one_by_one(world: World, operator: Browser) -> None:
    make_submitted_tasks({"third": {"depends_on": ["down"]}}, workflow=world.place.workflow)
    data = asked(world, scope="selected_and_downstream")
    page = operator.post("backfill_plan_downstream", data=data)
    lines = page.context["lines"]
    name = world.place.workflow.name
    assert [(label, chosen) for _, label, chosen in lines] == [
        (f"{name}/down", True),
        (f"{name}/third", True),
    ]
    data |= {"downstream_shown": page.context["shown"], "downstream": [world.place.down.pk]}
    again = operator.post("backfill_plan_downstream", data=data).context["lines"]
    assert [chosen for _, _, chosen in again] == [True, False]
    preview = operator.post(NEW, data={**data, "go": "3"}).context["preview"]
    assert [line.label for line in preview.tasks] == [f"{name}/up", f"{name}/down"]
    none = operator.post(NEW, data={**data, "downstream": [], "go": "3"})
    assert none.context["wanted"].errors == {
        "downstream_task_ids": ["Choose at least one downstream task."]
    }


@pytest.mark.feature("B1", "B2")
def test_a_plan_is_submitted_under_a_name_of_its_own(
    world: World, operator: Browser, nudges: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        page = ask(operator, world, go="submit", description="why")
    plan = Plan.objects.get(created_by=world.users["operator"])
    assert plan.name.startswith("patch_") and plan.description == "why"
    assert (plan.state, plan.planned_count) == (PlanState.EXPANDING, 2)
    assert page.messages == [f"Plan {plan.name} was submitted: its instances are being made."]
    assert nudges == ["backfill.expand"]


@pytest.mark.feature("B1")
def test_a_description_that_is_too_long_and_a_name_that_is_taken_are_refused(
    world: World, operator: Browser
) -> None:
    page = ask(operator, world, go="submit", description="x" * 257)
    assert "256" in page.context["faults"]["description"][0]
    page = ask(operator, world, go="submit", name=world.place.plan.name)
    assert "already" in page.context["faults"]["name"][0]
    assert not Plan.objects.filter(created_by=world.users["operator"]).exists()


@pytest.mark.feature("B8", "B11")
def test_a_draft_is_saved_changed_looked_at_and_submitted(world: World, operator: Browser) -> None:
    ask(operator, world, go="save", name="draft one", order="descending", dependency_check="none")
    plan = Plan.objects.get(name="draft one")
    assert plan.state == PlanState.DRAFT
    assert (plan.spec["order"], plan.spec["dependency_check"]) == ("descending", "none")
    page = operator.get("backfill_plan_edit", plan.pk, step=3)
    assert (page.context["step"], page.context["wanted"].name) == (3, "draft one")
    data = asked(world, go="submit", name="draft one", period_last=["2024-05-03"])
    operator.post("backfill_plan_edit", plan.pk, data=data)
    plan.refresh_from_db()
    assert (plan.state, plan.planned_count) == (PlanState.EXPANDING, 3)
    page = operator.get("backfill_plan_edit", plan.pk)
    assert page.response.redirect_chain, "what is submitted is not edited"


def test_a_plan_is_made_like_another(world: World, operator: Browser) -> None:
    wanted = operator.get(NEW, like=world.place.expanded.pk).context["wanted"]
    assert wanted.name == ""
    assert wanted.ids == [world.place.up.pk, world.place.down.pk]
    assert wanted.periods == [("2024-05-01", "2024-05-01")]
    assert operator.get(NEW, like=world.elsewhere.expanded.pk).status == 404


@pytest.mark.feature("P2")
def test_a_foreign_task_is_as_unknown_as_one_that_does_not_exist(
    world: World, operator: Browser
) -> None:
    page = ask(operator, world, ids_tasks=[world.elsewhere.up.pk])
    (fault,) = page.context["wanted"].errors.values()
    assert fault == [f"There is no task {world.elsewhere.up.pk} in your projects."]
    foreign = ask(operator, world, project=world.elsewhere.project.pk)
    assert list(foreign.context["wanted"].errors) == ["project"]


@pytest.mark.feature("B21")
@pytest.mark.item("0.31", "0.33", "2.48")
def test_the_list_tells_state_dates_counts_and_rates(world: World, operator: Browser) -> None:
    instances = Instance.objects.filter(batch=world.place.expanded.batch_id).order_by("pk")
    now = timezone.now()
    instances.filter(pk=instances[0].pk).update(
        state=State.SUCCESS, ready_at=now, started_at=now, ended_at=now
    )
    page = operator.get(LIST, state="running")
    assert page.ids == [world.place.expanded.pk]
    assert page.columns[1:] == [
        "Name",
        "State",
        "Result",
        "Progress",
        "Completed",
        "Succeeded",
        "Data dates",
        "Tasks",
        "Instances",
        "Start",
        "End",
        "Created",
        "Creator",
        "Project",
    ]
    for text in ("Running", "50 %", "2024-05-01"):
        assert text in page.text
    assert "<title>Success: 1</title>" in page.html


@pytest.mark.feature("B21")
def test_the_list_filters(world: World, operator: Browser) -> None:
    draft, expanded = world.place.plan, world.place.expanded
    for query, expected in (
        ({"state": "draft"}, [draft.pk]),
        ({"task": world.place.up.pk}, [expanded.pk]),
        ({"task_name": "dow"}, [expanded.pk]),
        ({"q": draft.name}, [draft.pk]),
        ({"instance_state": "FAILED"}, []),
        ({"created_from": "2100-01-01T00:00Z"}, []),
        ({"data_date_from": "2024-05-01", "state": "running"}, [expanded.pk]),
    ):
        assert operator.get(LIST, **query).ids == expected, query


@pytest.mark.feature("B22", "B23")
@pytest.mark.item("0.37")
def test_the_page_tells_progress_by_task_and_date_and_how_it_was_configured(
    world: World, operator: Browser
) -> None:
    plan = world.place.expanded
    page = operator.get("backfill_plan_change", plan.pk)
    assert [line["name"] for line in page.context["lines"]] == [
        f"{world.place.workflow.name}/up",
        f"{world.place.workflow.name}/down",
    ]
    assert page.context["heat_map"].zoom == ""
    hints = re.findall(r'<a href="([^"]+)"><rect[^>]*><title>([^<]+)</title>', page.html)
    (href,) = [unescape(href) for href, hint in hints if "/up · 2024-05-01: 1 " in hint]
    assert f"plan={plan.pk}&task={world.place.up.pk}" in href
    shown = operator.client.get(href)
    assert {row.task_id for row in shown.context["cl"].result_list} == {world.place.up.pk}
    for text in ("Dependency check", "All upstream", "Oldest first"):
        assert text in page.text
    assert re.search(r"Time of day from\s+00:00\s+Time of day until\s+23:59", page.text)
    for beside_the_point in ("Groups side by side", "Downstream tasks"):
        assert beside_the_point not in page.text
    assert "hx-trigger" in operator.get("backfill_plan_live", plan.pk).html


@pytest.mark.feature("B22")
def test_a_plan_of_many_dates_is_drawn_by_the_week(world: World, operator: Browser) -> None:
    plan = make_expanded_plan(make_spec([world.place.up], "2023-01-01", "2023-03-31"))
    page = operator.get("backfill_plan_change", plan.pk)
    assert page.context["heat_map"].zoom == "each column is 7 data dates"
    assert "up · 2023-01-01 – 2023-01-07: 7 " in page.html
    assert "up · 2023-03-26 – 2023-03-31: 6 " in page.html  # the last column says that it has less
    assert page.context["progress"].total == 90


@pytest.mark.feature("B21")
def test_the_page_and_the_list_say_that_a_plan_completed_with_failures(
    world: World, operator: Browser
) -> None:
    plan = world.place.expanded
    made = Instance.objects.filter(batch=plan.batch_id)
    made.update(state=State.FAILED, ended_at=timezone.now())
    made.filter(pk=made[0].pk).update(state=State.SUCCESS)
    note_batches([plan.batch_id])
    for page in (
        operator.get("backfill_plan_change", plan.pk),
        operator.get(LIST, state="completed", result="partly"),
        operator.get(LIST, o="3.-2"),
    ):
        assert "Completed with failures" in page.text
        assert "Partly succeeded" in page.text
    assert operator.get(LIST, result="succeeded").ids == []
    settle_plans()
    assert "Completed with failures" in operator.get("index").text


@pytest.mark.feature("B23")
def test_several_plans_are_terminated_after_a_page_that_says_what_stops(
    world: World, operator: Browser
) -> None:
    active, draft = world.place.expanded, world.place.plan
    page = operator.act(LIST, "terminate_chosen", active.pk, draft.pk)
    assert "Terminate 1 plan" in page.text
    assert "It is draft; terminate needs expanding, running or paused" in page.text
    page = operator.post(
        "backfill_plan_operate",
        "terminate",
        data={"ids": f"{active.pk},{draft.pk}", "confirmed": "1"},
    )
    active.refresh_from_db()
    assert active.state == PlanState.TERMINATED
    states = Instance.objects.filter(batch=active.batch_id).values_list("state", "error_code")
    assert set(states) == {(State.FAILED, "TERMINATED")}
    assert page.messages[0].startswith("1 plan terminated")
    assert "terminate needs expanding, running or paused" in page.messages[1]


@pytest.mark.feature("B25")
def test_a_plan_is_paused_and_resumed_from_its_page(world: World, operator: Browser) -> None:
    plan = world.place.expanded
    assert "operate/resume/" not in operator.get("backfill_plan_change", plan.pk).html
    page = operator.get("backfill_plan_operate", "pause", ids=plan.pk)
    assert "Pause 1 plan" in page.text and "until it is resumed" in page.text
    page = operator.post("backfill_plan_operate", "pause", data={"ids": plan.pk, "confirmed": "1"})
    assert page.messages[0].startswith("1 plan paused")
    assert page.context["state"] == PlanState.PAUSED
    assert "operate/resume/" in page.html and "operate/pause/" not in page.html
    listed = operator.get(LIST, state="paused").context["cl"].result_list
    assert [one.pk for one in listed] == [plan.pk]
    assert list(operator.get(LIST, state="running").context["cl"].result_list) == []
    again = operator.act(LIST, "pause_chosen", plan.pk)
    assert "It is paused; pause needs expanding or running" in again.text
    page = operator.post("backfill_plan_operate", "resume", data={"ids": plan.pk, "confirmed": "1"})
    assert page.context["state"] == PlanState.RUNNING


@pytest.mark.feature("P1")
def test_a_viewer_neither_terminates_nor_makes_plans(world: World, viewer: Browser) -> None:
    plan = world.place.expanded
    assert "terminate" not in viewer.get("backfill_plan_live", plan.pk).html
    page = viewer.post(
        "backfill_plan_operate", "terminate", data={"ids": plan.pk, "confirmed": "1"}
    )
    plan.refresh_from_db()
    assert plan.state == PlanState.RUNNING
    assert "does not allow" in page.messages[0]
    assert "do not allow" in viewer.get(NEW).messages[0]


@pytest.mark.feature("B23")
def test_only_a_draft_is_deleted(world: World, operator: Browser) -> None:
    kept = operator.post("backfill_plan_delete", world.place.expanded.pk, data={"post": "yes"})
    assert kept.status == 403
    operator.post("backfill_plan_delete", world.place.plan.pk, data={"post": "yes"})
    assert set(Plan.objects.filter(project=world.place.project)) == {world.place.expanded}


@pytest.mark.feature("B10")
def test_groups_are_asked_for_day_by_day_alone(world: World, operator: Browser) -> None:
    page = ask(operator, world, go="2", run_mode="day_by_day", groups="3")
    assert '<option value="3" selected>' in page.html
    other = ask(operator, world, run_mode="by_dependency", groups="3")
    assert (other.context["step"], other.context["preview"].lanes) == (3, ())


@pytest.mark.feature("B10", "B16")
def test_a_plan_that_runs_day_by_day_shows_its_groups(world: World, operator: Browser) -> None:
    days = {"run_mode": "day_by_day", "groups": "2"}
    page = ask(operator, world, **days)
    assert [lane.days for lane in page.context["preview"].lanes] == [1, 1]
    assert "a date starts after every instance of the one before succeeded" in page.text
    ask(operator, world, go="submit", **days)
    plan = Plan.objects.get(created_by=world.users["operator"])
    while expand_plan(plan.pk):
        pass
    page = operator.get("backfill_plan_change", plan.pk)
    assert re.search(r"Run mode\s+Day by day\s+Groups side by side\s+2\b", page.text)
    assert page.html.count('data-day="open"') == 2
    assert "Data date 2024-05-01: open; 1 " in page.html
    again = operator.get(NEW, like=plan.pk)
    wanted = again.context["wanted"]
    assert (wanted.values["run_mode"], wanted.values["groups"]) == ("day_by_day", "2")


@pytest.mark.feature("B10")
@pytest.mark.parametrize("number", [1, 5, 62, 63, 200])
def test_a_long_group_is_drawn_in_few_boxes(number: int) -> None:
    first = date(2024, 1, 1)
    days = [
        DayProgress(
            id=n,
            lane=1,
            position=n,
            planned_date=first + timedelta(days=n),
            state=DayState.DONE if n < 3 else DayState.BLOCKED if n == 3 else DayState.WAITING,
            by_state={State.FAILED: 1} if n == 3 else {State.SUCCESS: 2},
            opened_at=None,
        )
        for n in range(number)
    ]
    (lane,) = picture(days, "/list/?plan=1")
    assert 1 <= len(lane.boxes) <= 62
    assert [box.state for box in lane.boxes].count(DayState.BLOCKED) == (number > 3)
    assert lane.boxes[0].title.startswith("Data date 2023-12-31")
    assert "data_time_from=2023-12-31" in lane.boxes[0].href
    assert lane.words.startswith(f"{min(number, 3)} of {number} done")
