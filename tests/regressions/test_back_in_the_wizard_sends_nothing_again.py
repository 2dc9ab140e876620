"""Each step of the wizard has an address: Back and reload show what was told, and send nothing."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from backfill.models import Plan
from tests.admin.browsing import Browser, Page
from tests.api.world import World

pytestmark = [pytest.mark.django_db, pytest.mark.feature("B6")]

NEW = "backfill_plan_add"


@pytest.fixture
def root(world: World) -> Browser:
    client = Client()
    client.force_login(world.superuser)
    return Browser(client)


def told(world: World, **changes: Any) -> dict[str, Any]:
    return {
        "project": world.place.project.pk,
        "kind": "tasks",
        "ids_tasks": [world.place.up.pk],
        "period_first": "2024-05-01",
        "period_last": "2024-05-03",
        "time_from": "00:00",
        "time_until": "23:59",
        "name": "mine",
        **changes,
    }


def follow(browser: Browser, address: str, data: dict[str, Any]) -> tuple[str, Page]:
    """Send a step's form; return where that leads and what is there."""
    sent = browser.client.post(address, data)
    assert sent.status_code == 302, sent.content
    there = sent.headers["Location"]
    return there, Page(browser.client.get(there))


def test_every_step_can_be_gone_back_to(world: World, root: Browser) -> None:
    begun = root.client.get(reverse(f"admin:{NEW}"), {"kind": "tasks", "ids": world.place.up.pk})
    first = begun.headers["Location"]
    assert Page(root.client.get(first)).context["step"] == 1
    second, page = follow(root, first, told(world, go="2"))
    assert page.context["step"] == 2
    third, page = follow(root, second, told(world, go="3", time_until="10:00"))
    assert page.context["step"] == 3 and page.context["preview"].cell_count == 3
    for address, step in ((second, 2), (first, 1), (third, 3)):
        back = Page(root.client.get(address))
        assert (back.status, back.context["step"]) == (200, step)
        assert back.context["wanted"].name == "mine"
        assert back.context["wanted"].periods == [("2024-05-01", "2024-05-03")]
    assert not Plan.objects.filter(name="mine").exists()
    there, _ = follow(root, third, told(world, go="save"))
    plan = Plan.objects.get(name="mine")
    assert there == reverse("admin:backfill_plan_change", args=[plan.pk])


def test_what_is_refused_stays_to_be_seen(world: World, root: Browser) -> None:
    address = reverse(f"admin:{NEW}")
    there, page = follow(root, address, told(world, go="submit", period_last="2024-04-01"))
    faults = page.context["wanted"].errors
    assert page.context["step"] == 2 and faults
    assert Page(root.client.get(there)).context["wanted"].errors == faults
    _, page = follow(root, there, told(world, go="3"))
    assert page.context["wanted"].errors == {}


def test_wizards_side_by_side_do_not_mix_and_old_ones_begin_anew(
    world: World, root: Browser
) -> None:
    address = reverse(f"admin:{NEW}")
    places = [follow(root, address, told(world, go="2", name=f"n{n}"))[0] for n in range(7)]
    found = [Page(root.client.get(place, follow=True)) for place in reversed(places)]
    names = [page.context["wanted"].name for page in found]
    assert names == ["n6", "n5", "n4", "n3", "n2", "", ""]


def test_a_draft_is_changed_step_by_step_as_well(world: World, root: Browser) -> None:
    plan = world.place.plan
    begun = root.client.get(reverse("admin:backfill_plan_edit", args=[plan.pk]), {"step": "3"})
    assert Page(root.client.get(begun.headers["Location"])).context["step"] == 3
    there, _ = follow(root, begun.headers["Location"], told(world, go="2", name="other"))
    assert Page(root.client.get(there)).context["wanted"].name == "other"
    assert Plan.objects.get(pk=plan.pk).name == plan.name
