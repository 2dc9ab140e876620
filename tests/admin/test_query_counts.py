"""No page asks the database more often for many rows than for few."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from projects.console.scoped import ScopedAdmin
from projects.models import Member
from tests.admin.browsing import Browser
from tests.admin.test_pages import LISTS, OBJECTS, pk_of
from tests.api.test_query_counts import grow
from tests.api.world import World

pytestmark = pytest.mark.django_db

FEW, MANY = 2, 10


def queries(browser: Browser, name: str, *args: object, **query: object) -> int:
    browser.get(name, *args, **query)  # caches of definitions and sessions are filled
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert browser.get(name, *args, **query).status == 200
    return len(captured)


@pytest.fixture
def owner(world: World) -> Member:
    return Member.objects.get(user=world.users["administrator"], project=world.place.project)


def measure(world: World, browser: Browser) -> dict[str, int]:
    """Return the queries of every page."""
    counts = {name: queries(browser, name) for name in ("index", *LISTS)}
    counts["groups"] = queries(browser, "projects_resourcegroup_changelist")
    for name, attribute in OBJECTS.items():
        counts[name] = queries(browser, name, pk_of(world.place, attribute))
    place = world.place
    counts["wizard"] = queries(
        browser, "backfill_plan_add", kind="workflows", ids=place.workflow.pk
    )
    counts["preview"] = queries(browser, "backfill_plan_edit", place.plan.pk, step=3)
    return counts


@pytest.mark.feature("T1", "I2", "B21", "W1")
def test_no_page_asks_more_often_for_more_rows(
    world: World, browse: object, owner: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All rows on one page: a list of several pages asks once more which rows are on this one.
    monkeypatch.setattr(ScopedAdmin, "list_per_page", 1000)
    browser = browse(world.users["administrator"])  # type: ignore[operator]
    grow(world.place, owner, FEW)
    few = measure(world, browser)
    grow(world.place, owner, MANY)
    assert measure(world, browser) == few


def test_confirming_asks_as_often_for_many_as_for_few(
    world: World, browse: object, owner: Member
) -> None:
    browser = browse(world.users["administrator"])  # type: ignore[operator]
    grow(world.place, owner, MANY)
    project = world.place.project
    instances = list(project.instances.values_list("pk", flat=True))
    tasks = list(project.tasks.values_list("pk", flat=True))
    plans = list(project.plans.values_list("pk", flat=True))

    def measured(number: int) -> list[int]:
        def joined(ids: list[int]) -> str:
            return ",".join(map(str, ids[:number]))

        return [
            queries(browser, "instances_instance_operate", "rerun", ids=joined(instances)),
            queries(browser, "workflows_task_operate", "pause", ids=joined(tasks)),
            *[
                queries(browser, "backfill_plan_operate", key, ids=joined(plans))
                for key in ("terminate", "pause", "resume")
            ],
            *[
                queries(browser, "instances_instance_operate", key, ids=joined(instances))
                for key in ("freeze", "unfreeze", "remove-dependencies")
            ],
        ]

    assert measured(2) == measured(12)
