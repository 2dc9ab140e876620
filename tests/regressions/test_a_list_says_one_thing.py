"""A list tells a fault of a filter once, and why it is empty in one place; both stood twice."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from instances.models import Instance
from projects.models import Project
from tests.admin.browsing import Browser
from tests.api.world import World, make_world
from workflows.definitions.version_diff import diff

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(db: None) -> World:
    made = make_world()
    get_user_model().objects.update(is_staff=True)
    return made


def browser(world: World, role: str) -> Browser:
    client = Client()
    client.force_login(world.users[role])
    return Browser(client)


@pytest.mark.feature("I3")
def test_a_fault_of_a_filter_is_told_once(world: World) -> None:
    page = browser(world, "operator").get("instances_instance_changelist", started_from="nonsense")
    assert len(page.messages) == 1
    assert page.text.count("Nothing fits the filters. Reset filters") == 1
    assert "Nothing here yet" not in page.text


@pytest.mark.feature("I2")
def test_an_empty_list_says_where_rows_come_from_and_offers_no_reset(world: World) -> None:
    Instance.objects.all().delete()
    page = browser(world, "operator").get("instances_instance_changelist")
    assert "No instance yet: they come from schedules and from backfill plans." in page.text
    assert "Reset filters" not in page.text
    assert "No results found" not in page.text


@pytest.mark.feature("P5")
def test_who_may_only_read_sees_hosts_as_the_form_has_them(world: World) -> None:
    Project.objects.filter(pk=world.place.project.pk).update(
        allowed_hosts=["api.example.com", "*.example.org"]
    )
    page = browser(world, "viewer").get("projects_project_change", world.place.project.pk)
    assert "api.example.com *.example.org" in page.text
    assert '["api.example.com"' not in page.text
    Project.objects.update(allowed_hosts=[])
    page = browser(world, "viewer").get("projects_project_change", world.place.project.pk)
    assert "[]" not in page.text


@pytest.mark.feature("T12")
def test_the_first_saving_of_a_task_is_told(world: World) -> None:
    developer = browser(world, "developer")
    data = developer.form("workflows_task_add", workflow=world.place.workflow.pk)
    data |= {"name": "fresh", "type": "shell", "code": "true"}
    data |= {"schedule_cycle": "day", "schedule_at": "02:30"}
    page = developer.post("workflows_task_add", data=data)
    assert page.messages == ["The draft was saved; submit it to put it into force."]


@pytest.mark.feature("T9")
def test_a_difference_of_one_value_says_no_place_in_it() -> None:
    changed, rewritten = diff({"code": "a\nb", "timeout": 600}, {"code": "a\nc", "timeout": 900})[
        ::-1
    ]
    shorts = {one.field: one.is_short for one in (changed, rewritten)}
    assert shorts == {"timeout": True, "code": False}


def test_the_list_of_plans_is_called_what_the_sidebar_calls_it(world: World) -> None:
    page = browser(world, "viewer").get("backfill_plan_changelist")
    assert "Backfill plans" in page.html.partition("</title>")[0]
    assert page.context["title"] == "Backfill plans"
    change = browser(world, "viewer").get("backfill_plan_change", world.place.plan.pk)
    assert "Plans" not in change.text
    assert change.text.count("Backfill plans") == 2  # in the sidebar and above the page
