"""Who was logged out is told so, finds the form again as it was typed, and no list pretends."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from instances.models import Edge, Instance
from instances.states import State
from projects.roles import Role
from tests.admin.browsing import Browser, Page
from tests.api.world import World
from tests.factories import make_member, make_user
from workflows.models import Task

pytestmark = [pytest.mark.django_db, pytest.mark.feature("P4")]

EDIT = "workflows_task_edit"
CODE = 'echo "typed for <an hour> & more"\n'


@pytest.fixture
def ada(world: World) -> Browser:
    """Somebody who was logged in, and has a form open."""
    user = make_user("ada", password="correct horse", is_staff=True)
    make_member(world.place.project, Role.ADMINISTRATOR, user=user)
    client = Client()
    client.force_login(user)
    return Browser(client)


def log_in(page: Page, client: Client, password: str = "correct horse") -> Page:
    """Send the login page's form as a browser does: with what is hidden in it."""
    form = re.search(r'<form action="([^"]*)"[^>]*id="login-form"', page.html)
    assert form, "there is no login form"
    data = {"username": "ada", "password": password}
    if kept := re.search(r'name="kept" value="([^"]*)" form="login-form"', page.html):
        data["kept"] = unescape(kept.group(1))
    return Page(client.post(unescape(form.group(1)), data, follow=True))


@pytest.mark.item("U7.3")
def test_a_form_comes_back_as_it_was_typed(world: World, ada: Browser) -> None:
    task = world.place.draft
    before = Task.objects.get(pk=task.pk).draft
    typed = {**ada.form(EDIT, task.pk), "code": CODE, "depends_on__task": ["up", ""]}
    Session.objects.all().delete()
    page = ada.post(EDIT, task.pk, data=typed)
    assert page.status == 401
    assert "nothing was saved. What you typed is kept" in page.text

    wrong = log_in(page, ada.client, "wrong")
    assert "What you typed is kept" in wrong.text
    back = log_in(wrong, ada.client)
    assert back.response.request["PATH_INFO"] == reverse(f"admin:{EDIT}", args=[task.pk])
    assert back.status == 200 and "You were logged out when you sent this" in back.text
    form = back.context["adminform"].form
    assert form["code"].value() == CODE
    assert Task.objects.get(pk=task.pk).draft == before

    ada.post(EDIT, task.pk, data={**typed, "revision": form["revision"].value()})
    assert Task.objects.get(pk=task.pk).draft["code"] == CODE
    # It comes back once.
    assert "You were logged out" not in ada.get(EDIT, task.pk).text


def test_a_new_object_too(world: World, ada: Browser) -> None:
    typed = {**ada.form("workflows_task_add"), "name": "fresh", "code": CODE}
    typed["workflow"] = world.place.workflow.pk
    Session.objects.all().delete()
    back = log_in(ada.post("workflows_task_add", data=typed), ada.client)
    assert back.context["adminform"].form["name"].value() == "fresh"
    assert not Task.objects.filter(name="fresh").exists()


def confirmed(world: World, **fields: Any) -> dict[str, Any]:
    """What the confirmation of a verb sends, on an instance that failed."""
    failed = Instance.objects.filter(pk=world.place.first.pk)
    failed.update(state=State.FAILED, ended_at=timezone.now())
    return {"ids": str(world.place.first.pk), "next": "/admin/", "confirmed": "1", **fields}


def test_a_confirmation_of_a_verb_comes_back_and_asks_again(world: World, ada: Browser) -> None:
    address = reverse("admin:instances_instance_operate", args=["mark-success"])
    typed = confirmed(world, reason="the source was <repaired>")
    Session.objects.all().delete()
    back = log_in(Page(ada.client.post(address, typed)), ada.client)
    assert back.response.request["PATH_INFO"] == address
    assert "You were logged out when you sent this" in back.text
    assert 'value="the source was &lt;repaired&gt;"' in back.html
    assert Instance.objects.get(pk=world.place.first.pk).state == State.FAILED
    ada.client.post(address, typed)
    instance = Instance.objects.get(pk=world.place.first.pk)
    assert (instance.state, instance.settled_because) == (State.SUCCESS, typed["reason"])
    assert "You were logged out" not in Page(ada.client.get(address, typed)).text


def test_a_confirmation_of_what_a_filter_matches_too(world: World, ada: Browser) -> None:
    address = reverse("admin:instances_instance_operate", args=["mark-success"])
    typed = confirmed(world, ids="", matching="1", filter="state=FAILED", reason="typed")
    Session.objects.all().delete()
    back = log_in(Page(ada.client.post(address, typed)), ada.client)
    assert back.context["promise"].total == 1
    assert 'name="filter" value="state=FAILED"' in back.html
    assert 'value="typed"' in back.html


def test_edges_come_back_as_they_were_chosen(world: World, ada: Browser) -> None:
    address = reverse("admin:instances_instance_operate", args=["remove-dependencies"])
    edge = Edge.objects.filter(instance__project=world.place.project).order_by("pk").first()
    assert edge is not None
    typed = confirmed(world, ids=str(edge.instance_id), edges_listed="1", edges=[])
    box = f'name="edges" value="{edge.pk}" '
    opened = Page(ada.client.get(address, {"ids": edge.instance_id}))
    assert f"{box}checked" in opened.html
    Session.objects.all().delete()
    back = log_in(Page(ada.client.post(address, typed)), ada.client)
    assert box in back.html and f"{box}checked" not in back.html


def test_no_password_travels_through_the_login_page(world: World, ada: Browser) -> None:
    address = reverse("admin:projects_datasource_add")
    ada.client.logout()
    page = Page(ada.client.post(address, {"name": "db", "password": "s3cret-of-the-source"}))
    assert "db" in page.html and "s3cret-of-the-source" not in page.html


@pytest.mark.parametrize("header", [{"HX-Request": "true"}, {"Sec-Fetch-Dest": "empty"}])
def test_what_asks_for_itself_is_told(world: World, ada: Browser, header: dict[str, str]) -> None:
    addresses = [
        reverse("admin:instances_instance_changelist"),
        reverse("admin:instances_instance_live", args=[world.place.instance.pk]),
        reverse("admin:instances_execution_log", args=[world.place.execution.pk]),
    ]
    for address in addresses:
        assert ada.client.get(address, headers=header).status_code == 200
    ada.client.logout()
    for address in addresses:
        assert ada.client.get(address, headers=header).status_code == 401
        assert ada.client.get(address).status_code == 302  # people are led to the login


def test_without_the_cookie_there_is_a_page_of_our_own(world: World, ada: Browser) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = ada.client.cookies
    address = reverse(f"admin:{EDIT}", args=[world.place.draft.pk])
    refused = strict.post(address, {"code": CODE})
    assert refused.status_code == 403
    assert "The form was not accepted" in Page(refused).text
    strict.logout()
    page = Page(strict.post(address, {"code": CODE}))
    assert "What you typed is kept" in page.text


@pytest.mark.parametrize(
    "kept", ["", "{", "[]", '{"address": 1}', '{"address": "/x", "fields": 3}']
)
def test_nonsense_in_its_place_is_nothing(world: World, ada: Browser, kept: str) -> None:
    ada.client.logout()
    data: dict[str, Any] = {"username": "ada", "password": "correct horse", "kept": kept}
    ada.client.post(f"{reverse('admin:login')}?next=/admin/", data)
    assert ada.get(EDIT, world.place.draft.pk).status == 200


def test_a_page_that_gives_nothing_back_promises_nothing(world: World, ada: Browser) -> None:
    Session.objects.all().delete()
    page = ada.post("workflows_workflow_import", data={"text": "workflow: typed"})
    assert page.status == 401
    assert "nothing was saved" in page.text and "is kept" not in page.text
    assert 'name="kept"' not in page.html
