"""Tokens, sessions and throttling (P4)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from knox.models import AuthToken
from rest_framework.throttling import ScopedRateThrottle

from projects.roles import Role
from tests.api.caller import Caller
from tests.factories import make_member, make_project, make_superuser, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.feature("P4")]


def log_in(password: str = "right") -> Any:
    return Caller().call("POST", "auth/token/", {"username": "ada", "password": password})


def test_a_token_opens_the_api_until_it_is_given_back() -> None:
    make_user("ada", password="right")
    answer = log_in()
    assert answer.status_code == 201
    token = answer.json()["token"]

    opened = Caller().call("GET", "me/", Authorization=f"Token {token}")
    assert opened.json()["username"] == "ada"
    assert Caller().call("POST", "auth/logout/", Authorization=f"Token {token}").status_code == 204
    assert Caller().call("GET", "me/", Authorization=f"Token {token}").status_code == 401


@pytest.mark.item("P4.1")
def test_a_token_is_stored_as_a_hash_and_expires() -> None:
    make_user("ada", password="right")
    token = log_in().json()["token"]
    row = AuthToken.objects.get()
    assert token not in (row.digest, row.token_key)
    assert timedelta(days=89) < row.expiry - timezone.now() <= timedelta(days=90)
    AuthToken.objects.update(expiry=timezone.now() - timedelta(seconds=1))
    assert Caller().call("GET", "me/", Authorization=f"Token {token}").status_code == 401


@pytest.mark.parametrize("reason", ["wrong", "inactive", "unknown"])
def test_a_wrong_login_says_no_more_than_that(reason: str) -> None:
    if reason != "unknown":
        make_user("ada", password="right", is_active=reason != "inactive")
    answer = log_in("wrong" if reason == "wrong" else "right")
    assert answer.status_code == 401
    assert answer.json() == {
        "code": "authentication_failed",
        "detail": "The user name or the password is wrong.",
        "fields": {},
    }


@pytest.mark.item("P4.2")
def test_logins_are_throttled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ScopedRateThrottle.THROTTLE_RATES, "login", "2/min")
    assert [log_in().status_code for _ in range(3)] == [401, 401, 429]
    # Who says to be somebody else is throttled all the same.
    body = {"username": "ada", "password": "x"}
    answer = Caller().call("POST", "auth/token/", body, **{"X-Forwarded-For": "9.9.9.9"})
    assert answer.json()["code"] == "throttled"
    assert int(answer["Retry-After"]) > 0


def test_a_session_opens_the_api_and_needs_its_csrf_token_for_changes() -> None:
    make_superuser("ada", password="right")
    client = Client(enforce_csrf_checks=True)
    assert client.login(username="ada", password="right")
    assert client.get("/api/v1/me/").json()["is_superuser"] is True
    refused = client.post("/api/v1/projects/", {"name": "a"}, content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    client.cookies["csrftoken"] = token = "a" * 32
    made = client.post(
        "/api/v1/projects/",
        {"name": "a"},
        content_type="application/json",
        headers={"X-CSRFToken": token},
    )
    assert made.status_code == 201


def test_a_session_has_no_token_to_give_back() -> None:
    assert Caller(make_user()).post("auth/logout/", status=400)["code"] == "no_token"


@pytest.mark.feature("P1")
def test_me_says_what_one_may_do_where() -> None:
    user = make_user("ada")
    make_project("hidden")
    make_member(make_project("b"), Role.OPERATOR, user=user)
    make_member(make_project("a"), Role.VIEWER, user=user)
    answer = Caller(user).get("me/")
    assert (answer["is_staff"], answer["is_superuser"]) == (False, False)
    assert [(one["name"], one["role"], one["rights"]) for one in answer["projects"]] == [
        ("a", "viewer", ["view"]),
        ("b", "operator", ["view", "develop", "operate"]),
    ]
