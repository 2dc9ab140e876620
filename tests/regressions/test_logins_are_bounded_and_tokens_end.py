"""Logins of the admin are throttled and locked out; tokens end with a password, and by hand."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client, RequestFactory
from django.urls import reverse
from rest_framework.throttling import SimpleRateThrottle

from projects.administration.logins import address_of
from projects.ground import clock
from projects.models import Operation
from tests.admin.browsing import Browser
from tests.api.caller import Caller
from tests.factories import make_superuser, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.feature("P4")]

LOGIN = "/admin/login/"


@pytest.fixture(autouse=True)
def fresh_throttles() -> None:
    cache.clear()


@pytest.fixture
def ada() -> User:
    return make_superuser("ada", password="right")


def log_in(password: str = "right", name: str = "ada", client: Client | None = None) -> Any:
    return (client or Client()).post(LOGIN, {"username": name, "password": password})


def token_of(name: str = "ada", password: str = "right") -> str:
    body = {"username": name, "password": password}
    answer = Caller().call("POST", "auth/token/", body)
    assert answer.status_code == 201, answer.content
    return str(answer.json()["token"])


def opens(token: str) -> bool:
    status = Caller().call("GET", "me/", Authorization=f"Token {token}").status_code
    assert status in (200, 401)
    return status == 200


@pytest.mark.item("P4.2")
def test_who_fails_too_often_is_locked_out_of_the_admin_and_the_api(ada: User) -> None:
    assert [log_in("wrong").status_code for _ in range(5)] == [200, 200, 200, 200, 429]
    refused = log_in()
    assert refused.status_code == 429
    assert "Too many logins have failed here" in refused.content.decode()
    answer = Caller().call("POST", "auth/token/", {"username": "ada", "password": "right"})
    assert (answer.status_code, answer.json()["code"]) == (429, "locked_out")
    # From somewhere else she gets in: nobody locks out others by trying their names.
    elsewhere = Client(REMOTE_ADDR="10.0.0.7")
    assert log_in(client=elsewhere).status_code == 302


def test_failures_of_the_api_count_for_the_admin(ada: User) -> None:
    for _ in range(5):
        Caller().call("POST", "auth/token/", {"username": "ada", "password": "wrong"})
    assert log_in().status_code == 429


def test_a_login_that_works_begins_the_count_anew(ada: User) -> None:
    for enter in (log_in, lambda: token_of()):
        for _ in range(4):
            assert log_in("wrong").status_code == 200
        enter()
    assert log_in("wrong").status_code == 200


def test_one_address_tries_no_more_names_than_the_throttle_allows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(SimpleRateThrottle.THROTTLE_RATES, "login", "3/min")
    statuses = [log_in("wrong", name=f"name{number}").status_code for number in range(4)]
    assert statuses == [200, 200, 200, 429]
    assert Client().get(LOGIN).status_code == 200
    body = {"username": "another", "password": "wrong"}
    assert Caller().call("POST", "auth/token/", body).json()["code"] == "throttled"


@pytest.mark.item("P3.3")
def test_a_login_that_failed_is_on_record_and_so_is_no_password(ada: User) -> None:
    for _ in range(8):
        log_in("wrong")
    log_in("wrong", name="my secret, typed into the wrong field")
    records = Operation.objects.filter(verb="users.login_failed").order_by("id")
    # Five, and not one for each try that was locked out.
    assert [one.objects_of.get().label for one in records] == ["ada"] * 5 + ["an unknown name"]
    assert {one.options["address"] for one in records} == {"127.0.0.1"}
    assert {one.refused for one in records} == {1}
    root = make_superuser("root")
    assert len(Caller(root).ids(f"operations/?object_type=user&object_id={ada.pk}")) == 5
    assert Caller(make_user()).all("operations/") == []


@pytest.mark.item("P3.3")
def test_what_failed_logins_are_counted_by_holds_no_password_and_no_form(ada: User) -> None:
    form = {"username": "hunter2", "password": "x", "kept": "a draft of hers", "hunter3": "y"}
    for _ in range(2):
        Client().post(f"{LOGIN}?next=/hunter4", form)
        Caller().call("POST", "auth/token/", {"username": "hunter2", "password": "x"})
    log_in("wrong")
    rows = AccessAttempt.objects.order_by("id").values()
    text = str(list(rows))
    assert "hunter" not in text and "draft" not in text
    assert [(row["username"] == "ada", row["failures_since_start"]) for row in rows] == [
        (False, 4),
        (True, 1),
    ]


@pytest.mark.parametrize("name", ["ada", "nobody"])
def test_every_name_is_locked_out_and_somebodys_is_let_in_by_hand(ada: User, name: str) -> None:
    assert [log_in("wrong", name=name).status_code for _ in range(6)] == [200] * 4 + [429] * 2
    call_command("axes_reset_username", name, stdout=StringIO())
    assert log_in("wrong", name=name).status_code == (200 if name == "ada" else 429)


@pytest.mark.parametrize("way", ["admin", "own", "command", "unusable"])
def test_tokens_end_with_the_password_however_it_is_changed(
    ada: User, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = make_user("bob", password="right", is_staff=True)
    tokens, other = [token_of("bob"), token_of("bob")], token_of("ada")
    new = {"password1": "n3w-and-long", "password2": "n3w-and-long"}
    if way == "admin":
        page = Browser.of(ada).post(
            "auth_user_password_change", bob.pk, data={**new, "usable_password": "true"}
        )
        assert page.messages == ["Password changed successfully."]
    elif way == "own":
        data = {"old_password": "right", "new_password1": "n3w-and-long"}
        Browser.of(bob).post("password_change", data={**data, "new_password2": "n3w-and-long"})
    elif way == "command":
        monkeypatch.setattr("getpass.getpass", lambda **_: "n3w-and-long")
        call_command("changepassword", "bob")
    else:
        bob.set_unusable_password()
        bob.save()
    bob.refresh_from_db()
    assert not bob.check_password("right")
    assert [opens(token) for token in tokens] == [False, False]
    assert opens(other)
    record = Operation.objects.get(verb="users.change_password")
    assert record.options == {"tokens_ended": 2}
    assert record.actor == {"admin": ada, "own": bob}.get(way)
    assert record.objects_of.get().object_id == bob.pk


def test_a_better_hash_of_the_same_password_ends_nothing(settings: Any) -> None:
    make_user("ada", password="right")
    token = token_of()
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",
        "django.contrib.auth.hashers.MD5PasswordHasher",
    ]
    user = User.objects.get()
    before = user.password
    assert user.check_password("right")
    assert User.objects.get().password != before
    assert opens(token)


def test_everybody_lists_and_revokes_their_own_tokens_and_superusers_all(ada: User) -> None:
    bob = make_user("bob", password="right", is_staff=True)
    mine, other = token_of("bob"), token_of("ada")
    (own,) = Caller(bob).all("tokens/")
    assert own["user"] == "bob" and set(own) == {"id", "user", "created", "expiry"}
    assert len(Caller(ada).all("tokens/")) == 2
    (foreign,) = [row["id"] for row in Caller(ada).all("tokens/") if row["user"] == "ada"]

    Caller(bob).get(f"tokens/{foreign}/", 404)
    Caller(bob).delete(f"tokens/{foreign}/", 404)
    Caller(bob).delete(f"tokens/{own['id']}/")
    assert (opens(mine), opens(other)) == (False, True)

    third = token_of("bob")
    (row,) = Caller(ada).all("tokens/?ordering=user")[1:]
    Caller(ada).delete(f"tokens/{row['id']}/")
    assert not opens(third)
    made = Operation.objects.filter(verb="tokens.make").count()
    revoked = Operation.objects.filter(verb="tokens.revoke").order_by("id")
    assert made == 3
    assert [(one.actor, one.objects_of.get().detail) for one in revoked] == [
        (bob, own["id"]),
        (ada, row["id"]),
    ]


def test_the_admin_lists_and_revokes_tokens(ada: User) -> None:
    bob = make_user("bob", password="right", is_staff=True)
    mine, foreign = token_of("bob"), token_of("ada")
    page = Browser.of(bob).get("knox_authtoken_changelist")
    (listed,) = page.ids
    others = Browser.of(ada).get("knox_authtoken_changelist").ids
    assert len(others) == 2
    (hers,) = set(others) - {listed}
    assert mine not in page.html and listed not in page.text

    Browser.of(bob).act("knox_authtoken_changelist", "revoke", hers)
    assert opens(foreign)
    done = Browser.of(bob).act("knox_authtoken_changelist", "revoke", listed)
    assert done.messages == ["1 token revoked."]
    assert not opens(mine)
    assert Browser.of(ada).get("knox_authtoken_change", hers).status == 200


def test_a_user_made_in_the_admin_can_log_in(ada: User) -> None:
    page = Browser.of(ada)
    data = page.form("auth_user_add")
    data |= {"username": "eve", "password1": "n3w-and-long", "password2": "n3w-and-long"}
    made = page.post("auth_user_add", data=data)
    eve = User.objects.get(username="eve")
    assert made.status == 200
    entered = log_in("n3w-and-long", name="eve")
    assert (entered.status_code, entered["Location"]) == (302, reverse("admin:index"))
    record = Operation.objects.get(verb="users.make")
    assert (record.actor, record.objects_of.get().object_id) == (ada, eve.pk)
    assert record.options == {"username": "eve", "is_staff": True}


def test_who_is_to_call_the_api_alone_can_be_made_too(ada: User) -> None:
    page = Browser.of(ada)
    data = page.form("auth_user_add")
    data |= {"username": "eve", "password1": "n3w-and-long", "password2": "n3w-and-long"}
    del data["is_staff"]
    page.post("auth_user_add", data=data)
    assert not User.objects.get(username="eve").is_staff
    assert opens(token_of("eve", "n3w-and-long"))


@pytest.mark.item("P3.3")
def test_changes_of_users_are_on_record(ada: User) -> None:
    bob = make_user("bob", password="right", is_staff=True)
    page = Browser.of(ada)
    data = page.form("auth_user_change", bob.pk)
    data = {name: value for name, value in data.items() if name != "password"}
    data |= {"is_superuser": "on", "email": "bob@example.org"}
    page.post("auth_user_change", bob.pk, data=data)
    record = Operation.objects.get(verb="users.change")
    assert record.actor == ada
    assert record.options == {"email": "bob@example.org", "is_superuser": True}
    history = page.get("auth_user_history", bob.pk)
    assert history.ids == [record.pk]
    shown = page.get("projects_operation_change", record.pk)
    assert reverse("admin:auth_user_change", args=[bob.pk]) in shown.html


def test_a_session_ends_so_long_after_the_last_thing_its_user_did(
    ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client()
    client.force_login(ada)
    first = clock.now()
    hours = timedelta(hours=1)

    def opened(at: timedelta, **headers: str) -> bool:
        monkeypatch.setattr("django.utils.timezone.now", lambda: first + at)
        return client.get("/admin/", headers=headers).status_code == 200

    assert opened(0 * hours) and opened(11 * hours) and opened(22 * hours)
    # A page that stays open and refreshes itself prolongs nothing.
    assert opened(33 * hours, **{"Sec-Fetch-Dest": "empty"})
    assert not opened(34.1 * hours)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("203.0.113.9:5678", "203.0.113.9"),
        ("[2001:db8::1]:5678", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("unknown", None),
        ("", None),
    ],
)
def test_what_is_no_address_fails_no_login(
    rf: RequestFactory, said: str, found: str | None
) -> None:
    assert address_of(rf.get("/", REMOTE_ADDR=said)) == found
