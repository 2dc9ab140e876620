"""Logging in: who fails too often is locked out, and what failed is on record (P4)."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Any

from axes.backends import AxesStandaloneBackend
from axes.exceptions import AxesBackendPermissionDenied
from axes.models import AccessAttempt
from django.contrib import admin
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _
from rest_framework.throttling import SimpleRateThrottle

from projects.ground.words import gettext_lazy
from projects.verbs.recording import ItemOutcome, record

LOCKED_OUT = gettext_lazy("Too many logins have failed here. Try again in a quarter of an hour.")
TOO_OFTEN = gettext_lazy("Too many logins from your address. Try again in a minute.")


class LockOut(AxesStandaloneBackend):
    """Refuses who is locked out before the password is looked at, which costs CPU."""

    def authenticate(self, request: HttpRequest | None, **credentials: Any) -> None:
        if request is None:  # it is nobody from outside
            return
        try:
            super().authenticate(request, **credentials)
        except AxesBackendPermissionDenied:
            request.refused_unseen = True  # type: ignore[attr-defined]
            raise


class LoginThrottle(SimpleRateThrottle):
    """The bound on logins from one address, for the API and the admin's page together."""

    scope = "login"

    def get_cache_key(self, request: Any, view: Any) -> str:
        return self.cache_format % {"scope": self.scope, "ident": self.get_ident(request)}


def address_of(request: Any) -> str | None:
    """Return the client's address; NUM_PROXIES says whose word for it counts.

    None for what is no address, as behind a socket: then the name alone is counted. Some proxies
    write a port behind it.
    """
    said = str(LoginThrottle().get_ident(request) or "")
    found = re.fullmatch(r"(\d+\.\d+\.\d+\.\d+):\d+|\[([^\]]*)\](?::\d+)?", said)
    try:
        return str(ip_address((found[1] or found[2]) if found else said))
    except ValueError:
        return None


def locked_out(request: HttpRequest, response: Any = None, credentials: Any = None) -> HttpResponse:
    """Answer who is locked out."""
    return turned_away(request, "locked_out", LOCKED_OUT)


def turned_away(request: HttpRequest, code: str, detail: str) -> HttpResponse:
    """Answer 429 in the shape of the API, or as a page."""
    if request.path.startswith("/api/"):
        return JsonResponse({"code": code, "detail": detail, "fields": {}}, status=429)
    context = {**admin.site.each_context(request), "title": _("Not now"), "detail": detail}
    return render(request, "projects/turned_away.html", context, status=429)


def kept_name(request: HttpRequest, credentials: dict[str, Any] | None = None) -> str | None:
    """Return the name that failures are counted by: nobody's is hashed, it may be a password."""
    typed = (getattr(request, "data", request.POST) if credentials is None else credentials).get(
        "username"
    )
    if not typed or _user_of(typed) is not None:
        return typed
    return "?" + salted_hmac("logins.kept_name", typed, algorithm="sha256").hexdigest()


def keep_no_form(instance: AccessAttempt, **_: Any) -> None:
    """Keep nothing that was typed beside the name; a login that comes late carries a whole form."""
    instance.get_data = instance.post_data = ""


def login_failed(username: str, request: Any) -> None:
    """Write the record of a login that failed.

    What was typed for the name is kept only when it is somebody's: it may be a password. Who is
    locked out is on record already, so nobody fills the table.
    """
    if getattr(request, "refused_unseen", False):
        return
    user = _user_of(username)
    outcome = ItemOutcome(
        user.pk if user else 0,
        ok=False,
        code="login_failed",
        label=user.get_username() if user else "an unknown name",
    )
    record(
        actor=None,
        verb="users.login_failed",
        object_type="user",
        options={"address": address_of(request)} if request is not None else {},
        outcomes=[outcome],
    )


def _user_of(username: str) -> User | None:
    return User.objects.filter(username=username).first()
