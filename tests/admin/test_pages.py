"""Every page opens for who may see it, and does not exist for who may not (P1, P2)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.admin.browsing import Browser
from tests.api.world import Place, World

pytestmark = pytest.mark.django_db

LISTS = (
    "knox_authtoken_changelist",
    "backfill_plan_changelist",
    "instances_instance_changelist",
    "projects_datasource_changelist",
    "projects_operation_changelist",
    "projects_project_changelist",
    "workflows_folder_changelist",
    "workflows_task_changelist",
    "workflows_workflow_changelist",
)
# Pages of one object: the name of the address, and which id of a place it takes.
OBJECTS = {
    "backfill_plan_change": "expanded",
    "backfill_plan_live": "expanded",
    "backfill_plan_edit": "plan",
    "instances_execution": "execution",
    "instances_execution_log": "execution",
    "instances_instance_change": "instance",
    "instances_instance_live": "instance",
    "instances_task_curve": "up",
    "instances_task_history": "up",
    "projects_datasource_change": "source",
    "projects_operation_change": "operation_id",
    "projects_project_change": "project",
    "workflows_folder_change": "folder",
    "workflows_task_change": "down",
    "workflows_task_edit": "down",
    "workflows_task_preview": "down",
    "workflows_workflow_change": "workflow",
    "workflows_workflow_edit": "workflow",
    "workflows_workflow_export": "workflow",
}
CHANGING = {"backfill_plan_edit", "workflows_task_edit", "workflows_workflow_edit"}
FORMS = (
    "backfill_plan_add",
    "projects_datasource_add",
    "workflows_folder_add",
    "workflows_task_add",
    "workflows_workflow_add",
    "workflows_workflow_import",
)


def pk_of(place: Place, name: str) -> int:
    value = getattr(place, name)
    return value if isinstance(value, int) else value.pk


@pytest.mark.feature("P1")
@pytest.mark.parametrize("role", ["viewer", "developer", "operator", "administrator"])
@pytest.mark.item("P1.3")
def test_every_list_opens_for_every_role(
    world: World, browse: Callable[[User], Browser], role: str
) -> None:
    browser = browse(world.users[role])
    names = ["index", *LISTS, "projects_resourcegroup_changelist"]
    assert {name: browser.get(name).status for name in names} == dict.fromkeys(names, 200)


@pytest.mark.feature("P1")
def test_every_page_opens_for_an_administrator(
    world: World, browse: Callable[[User], Browser]
) -> None:
    browser = browse(world.users["administrator"])
    assert statuses(browser, world.place) == dict.fromkeys(OBJECTS, 200)


@pytest.mark.feature("P1")
def test_a_viewer_sees_every_page_but_those_that_change_something(
    world: World, viewer: Browser
) -> None:
    expected = {name: 403 if name in CHANGING else 200 for name in OBJECTS}
    assert statuses(viewer, world.place) == expected


def statuses(browser: Browser, place: Place) -> dict[str, int]:
    return {
        name: browser.get(name, pk_of(place, attribute)).status
        for name, attribute in OBJECTS.items()
    }


@pytest.mark.feature("P2")
def test_a_page_of_a_foreign_project_does_not_exist(world: World, operator: Browser) -> None:
    for name, attribute in OBJECTS.items():
        address = reverse(f"admin:{name}", args=[pk_of(world.elsewhere, attribute)])
        response = operator.client.get(address)
        # Django's own form pages answer a missing object by leading back to the first page.
        gone = response.status_code == 404
        assert gone or response.headers.get("Location") == reverse("admin:index"), name


@pytest.mark.feature("P2")
def test_a_list_has_nothing_of_a_foreign_project(
    world: World, operator: Browser, root: Browser
) -> None:
    for name in LISTS:
        page = operator.get(name)
        assert "elsewhere" not in page.text, name
        assert set(page.ids) < set(root.get(name).ids), name


@pytest.mark.feature("P1")
def test_who_is_not_logged_in_is_asked_to(db: None) -> None:
    for name in (*LISTS, *FORMS, "index", "auth_user_changelist"):
        response = Client().get(reverse(f"admin:{name}"))
        assert response.status_code == 302, name
        assert response.headers["Location"].startswith(reverse("admin:login")), name


@pytest.mark.feature("P1")
def test_who_is_no_staff_does_not_enter(world: World, browse: Callable[[User], Browser]) -> None:
    user = world.users["operator"]
    user.is_staff = False
    user.save(update_fields=["is_staff"])
    assert "Log in" in browse(user).get("index").text


@pytest.mark.feature("P1")
def test_a_viewer_is_offered_no_form(viewer: Browser) -> None:
    for name in FORMS:
        page = viewer.get(name)
        assert page.status == 403 or "do not allow" in " ".join(page.messages), name


@pytest.mark.feature("P1")
def test_only_superusers_see_users(root: Browser, operator: Browser) -> None:
    assert root.get("auth_user_changelist").status == 200
    assert operator.get("auth_user_changelist").status == 403
    assert "Users" not in operator.get("index").text


def test_pages_load_nothing_from_outside(world: World, root: Browser) -> None:
    for name in ("index", *LISTS):
        page = root.get(name).html
        assert "//cdn" not in page
        assert 'src="http' not in page
        assert 'href="http' not in page


def test_the_timetable_and_failed_logins_have_no_pages(root: Browser) -> None:
    for address in ("/admin/django_celery_beat/periodictask/", "/admin/axes/accessattempt/"):
        assert root.client.get(address).status_code == 404
