"""Errors that no view catches: what is said, and in which shape."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import InterfaceError, OperationalError
from django.test import Client
from rest_framework.test import APIClient

from tests.factories import make_superuser

pytestmark = pytest.mark.django_db


def get(monkeypatch: pytest.MonkeyPatch, path: str, error: Exception) -> Any:
    """Ask for an address below which something raises the error."""

    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("projects.api.login.projects_with", broken)
    client = APIClient(raise_request_exception=False)
    client.force_authenticate(make_superuser())
    return client.get(path)


@pytest.mark.parametrize("error", [OperationalError("gone"), InterfaceError("closed")])
def test_a_database_that_is_away_is_no_error_of_the_server(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    answer = get(monkeypatch, "/api/v1/me/", error)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.json()["code"] == "unavailable"
    assert set(answer.json()) == {"code", "detail", "fields"}


def test_an_error_of_the_server_has_the_shape_of_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = get(monkeypatch, "/api/v1/me/", ValueError("a secret"))
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "secret" not in answer.content.decode()


@pytest.mark.parametrize(("error", "status"), [(OperationalError(), 503), (ValueError(), 500)])
def test_pages_say_so_too(monkeypatch: pytest.MonkeyPatch, error: Exception, status: int) -> None:
    def broken(*_: object, **__: object) -> None:
        raise error

    client = Client(raise_request_exception=False)
    client.force_login(make_superuser())
    monkeypatch.setattr("django.contrib.admin.sites.AdminSite.each_context", broken)
    assert client.get("/admin/password_change/").status_code == status
