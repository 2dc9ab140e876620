"""What needs a browser to be true: forms that change, lists and logs that live, nothing broken."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import expect

from backfill.models import Plan
from instances.models import BatchNote, Instance, LogChunk
from instances.states import ExecutionState, State
from tests.admin.test_pages import CHANGING, FORMS, LISTS, OBJECTS, pk_of
from tests.api.world import World, make_execution
from tests.browser.conftest import Watched
from tests.factories import make_user
from workflows.models import Task

# Threads of the server hold connections of their own.
pytestmark = pytest.mark.django_db(transaction=True)


def run(instance: Instance) -> int:
    """Let the instance run; return its execution's id."""
    now = timezone.now()
    Instance.objects.filter(pk=instance.pk).update(
        state=State.RUNNING, ready_at=now, dispatched_at=now, started_at=now
    )
    return make_execution(
        instance,
        number=9,
        state=ExecutionState.RUNNING,
        started_at=now,
        ended_at=None,
        lease_until=now + timedelta(hours=1),
        error_code="",
    ).pk


@pytest.mark.item("U10.4")
def test_every_page_opens_without_an_error_and_asks_nobody_outside(
    world: World, operator: Watched
) -> None:
    for name in ("index", *LISTS, *FORMS):
        if name != "projects_datasource_add":
            operator.page.goto(operator.base + reverse(f"admin:{name}"))
            expect(operator.page.locator("#main")).to_be_visible()
    for name, attribute in OBJECTS.items():
        is_page = name.endswith("_change") or name in CHANGING
        if is_page and name != "projects_datasource_change":
            address = reverse(f"admin:{name}", args=[pk_of(world.place, attribute)])
            operator.page.goto(operator.base + address)
            expect(operator.page.locator("#content-main")).to_be_visible()
    operator.page.goto(f"{operator.base}/api/v1/docs/")
    expect(operator.page.locator(".swagger-ui .info")).to_be_visible()


def test_markup_that_reaches_a_page_runs_nothing(world: World, operator: Watched) -> None:
    page = operator.open(f"workflows/task/{world.place.draft.pk}/change/")
    page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.hasRun = true";
            document.body.append(script);
            const markup = "<b onclick='window.hasRun = true'>x</b>";
            document.body.insertAdjacentHTML("beforeend", markup);
            document.body.lastElementChild.click();
        }"""
    )
    assert page.evaluate("() => window.hasRun") is None
    assert len(operator.faults) == 2  # the browser tells what it refused
    assert all("Content Security Policy" in fault for fault in operator.faults)
    operator.faults.clear()


@pytest.mark.feature("P4")
def test_people_log_in_with_their_password(
    world: World, browse: Any, chromium: Any, live_server: Any
) -> None:
    make_user("fresh", password="correct horse", is_staff=True)
    page = chromium.new_context().new_page()
    page.goto(f"{live_server.url}/admin/")
    page.fill("[name=username]", "fresh")
    page.fill("[name=password]", "correct horse")
    page.press("[name=password]", "Enter")
    expect(page.locator("text=Latest failures")).to_be_visible()
    page.context.close()


@pytest.mark.feature("I3")
@pytest.mark.item("1.35", "3.26")
def test_a_list_lives_and_hides_columns_and_keeps_what_is_chosen(
    world: World, operator: Watched
) -> None:
    page = operator.open(f"instances/instance/?id={world.place.first.pk}")
    expect(page.locator("#result_list")).to_contain_text("Not run")
    run(world.place.first)
    page.click("[data-refresh]")
    expect(page.locator("#result_list")).to_contain_text("Running")
    page.click("summary:has-text('Columns')")
    page.uncheck("details label:has-text('Kind') input")
    expect(page.locator("#result_list th:has-text('Kind')")).to_be_hidden()
    page.reload()
    expect(page.locator("#result_list th:has-text('Kind')")).to_be_hidden()


@pytest.mark.feature("I4", "I10")
def test_chosen_rows_are_operated_after_a_confirmation(world: World, operator: Watched) -> None:
    Instance.objects.filter(pk=world.place.instance.pk).update(state=State.WAITING_UPSTREAM)
    page = operator.open("instances/instance/?kind=PERIODIC")
    page.evaluate("document.querySelector('#result_list').dataset.isOld = '1'")
    page.click("[data-refresh]")
    expect(page.locator("#result_list:not([data-is-old])")).to_be_visible()
    page.check("#result_list .action-toggle")
    page.select_option("select[name=action]", "terminate_chosen")
    page.click("button[name=index]")
    expect(page.locator("#content-main h2")).to_contain_text("Terminate 1 instance")
    page.click("button:has-text('Terminate 1 instance')")
    expect(page.locator("text=1 instance terminated")).to_be_visible()
    expect(page).to_have_url(f"{operator.base}/admin/instances/instance/?kind=PERIODIC")
    world.place.instance.refresh_from_db()
    assert world.place.instance.error_code == "TERMINATED"


@pytest.mark.feature("I11")
@pytest.mark.item("1.19")
def test_the_log_grows_while_the_task_runs_and_ends_with_it(
    world: World, operator: Watched
) -> None:
    execution_id = run(world.place.first)
    page = operator.open(f"instances/instance/{world.place.first.pk}/change/")
    log = page.locator("pre.tm-log")
    expect(log).to_contain_text("second line")
    expect(page.locator("[data-log-state]")).to_contain_text("live")
    text = b"third line <b>&amp;\n"
    LogChunk.objects.create(execution_id=execution_id, sequence=2, content=text, size=len(text))
    expect(log).to_contain_text("third line <b>&amp;")
    now = timezone.now()
    instance = Instance.objects.filter(pk=world.place.first.pk)
    instance.get().executions.filter(pk=execution_id).update(
        state=ExecutionState.SUCCESS, ended_at=now, lease_until=None
    )
    instance.update(state=State.SUCCESS, ended_at=now)
    expect(page.locator("[data-log-state]")).to_contain_text("ended")
    expect(page.locator("#live .tm-badge").first).to_have_text("Success")


@pytest.mark.feature("I11")
def test_the_page_goes_over_to_a_new_execution(world: World, operator: Watched) -> None:
    Instance.objects.filter(pk=world.place.instance.pk).update(state=State.WAITING_UPSTREAM)
    page = operator.open(f"instances/instance/{world.place.instance.pk}/change/")
    expect(page.locator("#log-card")).to_be_hidden()
    run(world.place.instance)
    expect(page.locator("pre.tm-log")).to_contain_text("first line")
    expect(page.locator("#code")).to_contain_text("echo done")


@pytest.mark.feature("T11", "T12", "T13")
def test_the_form_of_a_task_shows_what_its_type_and_cycle_need(
    world: World, operator: Watched
) -> None:
    page = operator.open(f"workflows/task/{world.place.draft.pk}/edit/")
    expect(page.locator("[name=code]")).to_be_visible()
    expect(page.locator("[name=schedule_expression]")).to_be_hidden()
    page.select_option("[name=type]", "http")
    expect(page.locator("[name=code]")).to_be_hidden()
    page.fill("[name=config_http_url]", "https://api.example.com/${day}")
    page.select_option("[name=schedule_cycle]", "crontab")
    expect(page.locator("[name=schedule_at]")).to_be_hidden()
    page.fill("[name=schedule_expression]", "61 * * * *")
    page.click("button:has-text('Parameter')")
    page.fill("[name=parameters__name]", "day")
    page.fill("[name=parameters__value]", "${yyyymmdd}")
    page.click("button:has-text('Dependency')")
    page.fill("[name=depends_on__task]", "up")
    page.select_option("[name=depends_on__offset]", "previous")
    page.click("[name=_save]")
    expect(page.locator("text=the minute is not valid")).to_be_visible()
    expect(page.locator("[name=parameters__value]")).to_have_value("${yyyymmdd}")
    page.fill("[name=schedule_expression]", "30 2 * * *")
    page.click("[name=_save]")
    expect(page.locator("text=The draft was saved")).to_be_visible()
    assert Task.objects.get(pk=world.place.draft.pk).draft == {
        "type": "http",
        "schedule": {"cycle": "crontab", "expression": "30 2 * * *"},
        "config": {"url": "https://api.example.com/${day}"},
        "parameters": {"day": "${yyyymmdd}"},
        "depends_on": [{"task": "up", "offset": "previous"}],
    }


@pytest.mark.feature("T8", "T13")
def test_the_tabs_of_a_task_load_when_they_are_opened(world: World, operator: Watched) -> None:
    page = operator.open(f"workflows/task/{world.place.down.pk}/change/")
    expect(page.locator("#history")).to_contain_text("Data time")
    page.click("text=Execution curve")
    expect(page.locator("#curve")).to_contain_text("No finished run yet")
    page.click("text=Parameters on a date")
    page.fill("#preview input[type=date]", "2026-03-01")
    expect(page.locator("#preview")).to_contain_text("20260301")
    page.click("text=Dependencies")
    page.click(".tm-dag a:has-text('up')")
    expect(page.locator("#content-main h2")).to_have_text("up")


@pytest.mark.feature("B2", "B3", "B6", "B16")
def test_a_plan_is_made_step_by_step(world: World, operator: Watched) -> None:
    page = operator.open("backfill/plan/add/")
    page.click("button:has-text('Next')")
    expect(page.locator(".tm-error")).to_have_text("Choose at least one of the tasks.")
    page.check("label:has-text('/up') input")
    page.check("label:has-text('Chosen tasks and downstream') input")
    expect(page.locator("#downstream label")).to_contain_text("/down")
    page.click("button:has-text('Next')")
    page.fill("[name=period_first]", "2024-05-02")
    page.fill("[name=period_last]", "2024-05-01")
    page.click("button:has-text('Preview'):not(.tm-step)")
    expect(page.locator(".tm-error:visible")).to_contain_text("before it starts")
    page.fill("[name=period_last]", "2024-05-03")
    page.click("button:has-text('Preview'):not(.tm-step)")
    expect(page.locator("button:has-text('Submit 4 instances')")).to_be_visible()
    page.click("button:has-text('Back')")
    expect(page.locator("[name=period_last]")).to_have_value("2024-05-03")
    page.click("button:has-text('Preview'):not(.tm-step)")
    page.fill("[name=name]", "from the browser")
    page.click("button:has-text('Submit 4 instances')")
    expect(page.locator("#content-main h2")).to_have_text("from the browser")
    assert Plan.objects.get(name="from the browser").planned_count == 4


@pytest.mark.feature("B10")
def test_the_wizard_asks_for_groups_when_a_plan_runs_day_by_day(
    world: World, operator: Watched
) -> None:
    page = operator.open(f"backfill/plan/add/?kind=tasks&ids={world.place.up.pk}")
    page.click("button:has-text('Next')")
    expect(page.locator("#id_groups")).to_be_hidden()
    page.check("[name=run_mode][value=day_by_day]")
    page.select_option("#id_groups", "3")
    page.fill("[name=period_first]", "2024-05-01")
    page.fill("[name=period_last]", "2024-05-07")
    page.click("button.tm-button-primary:has-text('Preview')")
    groups = page.locator("section:has(h3:text-is('Groups')) tbody tr")
    expect(groups).to_have_count(3)
    expect(groups.first).to_contain_text("2024-05-01 → 2024-05-03")
    page.click("button:has-text('Submit 7 instances')")
    expect(page.locator("section:has(h3:text-is('Day by day')) .tm-lane")).to_have_count(3)
    expect(page.locator("[data-day=open]")).to_have_count(3)
    expect(page.locator("[data-day=waiting]")).to_have_count(4)


@pytest.mark.feature("B22")
def test_a_plan_s_page_lives(world: World, operator: Watched) -> None:
    page = operator.open(f"backfill/plan/{world.place.expanded.pk}/change/")
    expect(page.locator("[data-completion]")).to_have_text("0 %")
    now = timezone.now()
    Instance.objects.filter(batch=world.place.expanded.batch_id).update(
        state=State.SUCCESS, ready_at=now, started_at=now, ended_at=now
    )
    BatchNote.objects.create(batch_id=world.place.expanded.batch_id)  # as the engine leaves one
    expect(page.locator("[data-completion]")).to_have_text("100 %")
    expect(page.locator("#live .tm-badge").first).to_have_text("Completed")


@pytest.mark.feature("I3")
def test_a_live_list_says_that_the_session_has_ended_and_goes_on_after_the_login(
    world: World, browse: Any, operator: Watched
) -> None:
    page = operator.open("instances/instance/")
    page.locator("[data-auto-refresh]").check()
    cookies, sessions = page.context.cookies(), list(Session.objects.all())
    Session.objects.all().delete()
    page.locator("[data-refresh]").click()
    expect(page.locator("#logged-out")).to_contain_text("You are logged out")
    asked = [fault for fault in operator.faults if "401" in fault]
    assert asked and asked == operator.faults
    operator.faults.clear()
    Session.objects.bulk_create(sessions)  # as a login in another tab does
    page.context.add_cookies(cookies)
    page.evaluate("window.dispatchEvent(new Event('focus'))")
    expect(page.locator("#logged-out")).to_have_count(0)
