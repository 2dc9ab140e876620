"""What happens to who is logged out without knowing: told, and nothing typed is lost.

Parts of pages that ask for themselves anew get 401 instead of a login page in their place. A form
that is sent comes along on the login page, and stands there again as it was typed after the login.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, QueryDict
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from projects.console.sessions import asks_for_itself
from projects.ground.refusals import Refusal

KEPT = "kept_form"
# Longer ones are not kept: a session is read with each request.
LONGEST = 1_000_000
_OPEN = frozenset({"login", "logout", "jsi18n"})
_NOT_KEPT = ("csrfmiddlewaretoken", "password", "secret")


class LoggedOutMiddleware:
    """Answer what the login page would be a wrong answer to."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        is_login = request.method == "POST" and request.path == reverse("admin:login")
        kept = request.POST.get("kept") if is_login else None
        if kept and request.user.is_authenticated:
            request.session[KEPT] = kept
        return response

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> HttpResponse | None:
        if not _is_closed_to(request):
            return None
        if asks_for_itself(request):
            return HttpResponse(
                _("You are logged out."), status=401, content_type="text/plain; charset=utf-8"
            )
        return login_page(request) if request.method == "POST" else None


def is_form_of_nobody(request: HttpRequest) -> bool:
    """Whether somebody who is not logged in sent a form of a page that asks for that."""
    return request.method == "POST" and _is_closed_to(request)


def _is_closed_to(request: HttpRequest) -> bool:
    match = request.resolver_match
    is_page = match is not None and match.app_name == "admin" and match.url_name not in _OPEN
    return is_page and not request.user.is_authenticated


def login_page(request: HttpRequest) -> HttpResponse:
    """Return the login page with the form that was sent, to come back to it."""
    address = request.get_full_path()
    fields = [
        (name, value)
        for name, values in request.POST.lists()
        for value in values
        if not any(part in name.lower() for part in _NOT_KEPT)
    ]
    kept = json.dumps({"address": address, "fields": fields})
    if len(kept) > LONGEST or not _comes_back(request):
        kept = ""
    login = f"{reverse('admin:login')}?{urlencode({'next': address})}"
    request.method = "GET"  # it is no attempt to log in
    response = admin.site.login(request, {"app_path": login, "kept": kept, "next": address})
    response.status_code = 401
    return response


def _comes_back(request: HttpRequest) -> bool:
    """Whether the form's page takes it up again: those of objects and of verbs, and the wizard."""
    name = (request.resolver_match and request.resolver_match.url_name) or ""
    return name.endswith(("_add", "_change", "_edit", "_operate")) and not name.startswith("auth_")


def take_kept(request: HttpRequest) -> QueryDict | None:
    """Return the form of this address that its sender could not save, once."""
    written = request.session.get(KEPT) if request.method == "GET" else None
    if not written:
        return None
    try:
        kept = json.loads(written)
        if kept["address"] != request.get_full_path():
            return None
        found = QueryDict(mutable=True)
        for name, value in kept["fields"]:
            found.appendlist(str(name), str(value))
    except (ValueError, TypeError, KeyError):  # cut off, or not ours
        found = None
    del request.session[KEPT]
    return found


def not_saved() -> Refusal:
    """Return what stands above a form that came back."""
    return Refusal(
        _(
            "You were logged out when you sent this, and nothing was saved. It stands here as you "
            "typed it: look at it and save it again."
        )
    )
