"""Who asks for what is not there, not allowed or broken gets a page with a way on (U9)."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.factories import make_superuser, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def root() -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(make_superuser())
    return client


def leads_on(response: Any) -> bool:
    text = response.content.decode()
    return "/admin/instances/instance/" in text and "Overview" in text


@pytest.mark.item("U9.2")
def test_what_does_not_exist_is_told_with_the_navigation(root: Client) -> None:
    response = root.get("/admin/workflows/workflow/999999/change/")
    assert response.status_code == 404
    assert "There is no workflow 999999 in your projects." in response.content.decode()
    assert leads_on(response)


def test_so_is_an_address_that_leads_nowhere(root: Client) -> None:
    for address in ("/nowhere/", "/admin/nowhere/"):
        response = root.get(address)
        assert response.status_code == 404
        assert leads_on(response)


def test_who_is_not_logged_in_is_told_in_a_line() -> None:
    response = Client().get("/nowhere/")
    assert response.status_code == 404
    assert response.content.decode() == "Nothing has this address."


@pytest.mark.item("U9.2")
def test_so_is_what_a_role_does_not_allow() -> None:
    user: User = make_user(is_staff=True)
    client = Client()
    client.force_login(user)
    response = client.get("/admin/workflows/workflow/import/")
    assert response.status_code == 403
    assert "Your roles do not allow this." in response.content.decode()
    assert leads_on(response)


@pytest.mark.item("U9.2")
def test_so_is_an_error(root: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **options: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("config.console.home._groups", broken)
    response = root.get("/admin/")
    assert response.status_code == 500
    assert leads_on(response)


def test_an_error_of_the_frame_itself_leaves_a_bare_page(
    root: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **options: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("django.contrib.admin.sites.AdminSite.each_context", broken)
    assert root.get("/admin/").status_code == 500


def test_a_form_without_its_proof_is_told(root: Client) -> None:
    client = Client(enforce_csrf_checks=True)
    client.cookies = root.cookies
    response = client.post("/admin/workflows/workflow/add/")
    assert response.status_code == 403
    assert "The form was not accepted" in response.content.decode()
    assert leads_on(response)


def test_the_api_keeps_its_shape() -> None:
    response = Client().get("/api/nowhere/")
    assert response.status_code == 404
    assert response.json()["code"] == "not_found"


def test_browsers_that_guess_the_icon_find_it() -> None:
    response = Client().get("/favicon.ico")
    assert response.status_code == 302
    assert response["Location"].endswith("icon.svg")
