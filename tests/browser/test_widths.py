"""No page is wider than the screen it is read on, whatever the names are."""

from __future__ import annotations

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from instances.models import Instance
from instances.states import State
from tests.admin.test_pages import pk_of
from tests.api.world import World
from tests.browser.conftest import Watched
from tests.browser.test_browser import run
from workflows.models import Task, Workflow

pytestmark = pytest.mark.django_db(transaction=True)

PAGES = {
    "index": "",
    "instances_instance_changelist": "",
    "instances_instance_change": "instance",
    "backfill_plan_changelist": "",
    "backfill_plan_change": "expanded",
    "backfill_plan_edit": "plan",
    "workflows_task_changelist": "",
    "workflows_task_change": "down",
    "workflows_workflow_change": "workflow",
    "projects_operation_changelist": "",
    "projects_operation_change": "operation_id",
}


@pytest.mark.parametrize("width", [390, 1440])
def test_no_page_is_wider_than_the_screen(world: World, operator: Watched, width: int) -> None:
    long = "a-name-that-somebody-made-as-long-as-names-may-be-because-it-says-all"
    Workflow.objects.filter(pk=world.place.workflow.pk).update(name=long)
    Task.objects.filter(pk=world.place.up.pk).update(name=f"{long}-up")
    run(world.place.first)
    Instance.objects.filter(pk=world.place.instance.pk).update(state=State.WAITING_UPSTREAM)
    page = operator.page
    page.set_viewport_size({"width": width, "height": 900})
    wide = {}
    for name, attribute in PAGES.items():
        args = [pk_of(world.place, attribute)] if attribute else []
        page.goto(operator.base + reverse(f"admin:{name}", args=args))
        expect(page.locator("#main")).to_be_visible()
        wide[name] = page.evaluate("() => document.documentElement.scrollWidth")
    assert {name: found for name, found in wide.items() if found > width} == {}


def test_a_row_is_a_card_on_a_phone(world: World, operator: Watched) -> None:
    page = operator.page
    page.set_viewport_size({"width": 390, "height": 900})
    operator.open("instances/instance/")
    row = page.locator("#result_list tbody tr").first
    expect(row).to_be_visible()
    box = row.bounding_box()
    assert box is not None and box["height"] < 100  # three lines; it were 19
    assert row.locator("td:visible").count() == 5


def test_a_large_graph_opens_where_it_begins(world: World, operator: Watched) -> None:
    page = operator.open(f"workflows/workflow/{world.place.workflow.pk}/change/")
    frame = page.locator(".tm-scroll:has(svg.tm-dag)")
    expect(frame).to_be_visible()
    x, y = page.locator("svg.tm-dag").get_attribute("data-start").split(",")  # type: ignore[union-attr]
    seen = frame.evaluate(
        "(box, [x, y]) => x >= box.scrollLeft && x <= box.scrollLeft + box.clientWidth"
        " && y >= box.scrollTop && y <= box.scrollTop + box.clientHeight",
        [int(x), int(y)],
    )
    assert seen
