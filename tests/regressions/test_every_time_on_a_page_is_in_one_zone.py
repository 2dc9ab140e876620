"""Head, list, sentences, confirmations and messages of a page say times in one zone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from instances.models import Instance
from projects.models import Project
from tests.admin.browsing import Browser, Page
from tests.api.caller import Caller
from tests.api.world import World

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.feature("U6", "I2", "I12"),
    pytest.mark.item("U6.1", "U6.3"),
]

PLANNED = datetime(2099, 7, 1, 22, 30, tzinfo=UTC)  # in Berlin the next day
DUE = "2099-07-02 00:30"


@pytest.fixture
def waiting(world: World) -> Instance:
    """An instance whose time has not come, in a project of Berlin."""
    Project.objects.filter(pk=world.place.project.pk).update(time_zone="Europe/Berlin")
    instance = world.place.instance
    Instance.objects.filter(pk=instance.pk).update(
        state="NOT_RUN", scheduled_at=PLANNED, not_before=PLANNED, ready_at=None, ended_at=None
    )
    instance.refresh_from_db()
    return instance


@pytest.fixture
def root(world: World) -> Browser:
    client = Client()
    client.force_login(world.superuser)
    return Browser(client)


PAGES: dict[str, Callable[[Browser, World], Page]] = {
    "instance": lambda b, w: b.get("instances_instance_change", w.place.instance.pk),
    "list": lambda b, w: b.get("instances_instance_changelist", project=w.place.project.pk),
    "confirm": lambda b, w: b.get(
        "instances_instance_operate", "remove-dependencies", ids=w.place.instance.pk
    ),
    "plan": lambda b, w: b.get("backfill_plan_change", w.place.expanded.pk),
}


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.item("U6.1")
def test_a_page_names_its_zone_once(
    world: World, waiting: Instance, root: Browser, name: str
) -> None:
    page = PAGES[name](root, world)
    assert page.status == 200
    assert "times in Europe/Berlin" in page.text
    assert "UTC" not in page.text and page.text.count("Europe/Berlin") == 1


def test_why_it_waits_agrees_with_the_head(waiting: Instance, root: Browser) -> None:
    text = root.get("instances_instance_change", waiting.pk).text
    assert f"it is due at {DUE}." in text
    assert text.index("Data time") < text.index(f"Planned {DUE}:00")


@pytest.mark.item("U6.3")
def test_a_confirmation_names_the_instance_by_its_data_time(
    waiting: Instance, root: Browser
) -> None:
    text = root.get("instances_instance_operate", "remove-dependencies", ids=waiting.pk).text
    assert "These down 2025-12-31 00:00 #" in text


@pytest.mark.item("U6.1")
def test_what_is_left_alone_is_named_by_its_data_time(waiting: Instance, root: Browser) -> None:
    data = {"ids": waiting.pk, "confirmed": "1"}
    page = root.post("instances_instance_operate", "terminate", data=data)
    assert any("down 2025-12-31 00:00: It is not run" in told for told in page.messages)


def test_what_is_typed_into_a_filter_is_in_the_zone_of_the_rows(
    world: World, waiting: Instance, root: Browser
) -> None:
    start = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)  # 2 March, 0:30 in Berlin
    Instance.objects.filter(pk=waiting.pk).update(
        state="RUNNING", ready_at=start, dispatched_at=start, started_at=start
    )
    for until, found in (("2026-03-02T00:15", False), ("2026-03-02T00:45", True)):
        page = root.get("instances_task_history", waiting.task_id, started_until=until)
        assert ("2026-03-02 00:30:00" in page.text) is found


def test_a_page_about_projects_of_several_zones_is_in_utc(waiting: Instance, root: Browser) -> None:
    page = root.get("instances_instance_changelist")
    assert "times in UTC" in page.text
    assert "2099-07-01 22:30:00" in page.text


def test_the_api_and_what_comes_after_a_page_go_on_in_utc(
    world: World, waiting: Instance, root: Browser
) -> None:
    root.get("instances_instance_change", waiting.pk)
    assert timezone.get_current_timezone_name() == "UTC"
    answer: Any = Caller(world.superuser).get(f"instances/{waiting.pk}/waiting/")
    assert "due at 2099-07-01 22:30 UTC." in answer["blockers"][0]["text"]
    assert answer["blockers"][0]["scheduled_at"] == "2099-07-01T22:30:00Z"
