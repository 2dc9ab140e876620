"""What a request is answered that was not served: in the API's shape, or as a page of the admin."""

from __future__ import annotations

import logging
import sys

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.utils.translation import gettext as _
from django.views.defaults import server_error

from projects.console.logged_out import is_form_of_nobody, login_page
from projects.ground.database import is_away, is_cancelled

log = logging.getLogger(__name__)

# Seconds after which a client may ask again.
AGAIN_SECONDS = 5


def failed(request: HttpRequest) -> HttpResponse:
    """Answer for an error that no view has caught.

    Django calls this while it handles that error. A database that is away, or too busy, is no fault
    of the program: who asks again in a moment will be served.
    """
    error = sys.exc_info()[1]
    is_unserved = error is not None and (is_away(error) or is_cancelled(error))
    if is_unserved:
        code, status = "unavailable", 503
        detail = _("The database does not answer; try again soon.")
    else:
        code, status = "internal_error", 500
        detail = _("Tidemill failed; its log says why.")
    headers = {"Retry-After": str(AGAIN_SECONDS)} if is_unserved else {}
    if _is_api(request):
        return _in_shape(code, detail, status, headers)
    if is_unserved:
        return _plain(detail, status, headers)
    try:
        return _page(
            request,
            _("Tidemill failed"),
            _("{detail} Nothing was saved.").format(detail=detail),
            status,
        )
    except Exception:
        # Whatever failed fails the frame of the page too: one without anything is left.
        log.exception("The page that tells of the error failed")
        return server_error(request)


def missing(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer for what does not exist, or not for this user."""
    told = exception.args[0] if exception.args and isinstance(exception, Http404) else ""
    detail = told if isinstance(told, str) and told else _("Nothing has this address.")
    if _is_api(request):
        return _in_shape("not_found", detail, 404)
    return _page(request, _("Not found"), detail, 404)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer for what the user's roles do not allow."""
    detail = _("Your roles do not allow this.")
    if _is_api(request):
        return _in_shape("permission_denied", detail, 403)
    return _page(request, _("Not allowed"), detail, 403)


def unverified(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer for a form without the proof that it came from a page of Tidemill.

    Who is logged out as well comes back to the form, as it was typed, by way of the login.
    """
    if is_form_of_nobody(request):
        return login_page(request)
    detail = _("The form was not accepted: its page is too old, or the browser keeps no cookies.")
    if _is_api(request):
        return _in_shape("permission_denied", f"{detail} {reason}".strip(), 403)
    advice = _("{detail} Go back, load the page again, send.").format(detail=detail)
    return _page(request, _("Not accepted"), advice, 403)


def favicon(request: HttpRequest) -> HttpResponse:
    """Lead browsers that guess the icon's address to the icon."""
    return redirect(static("tidemill/icon.svg"))


def _is_api(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")


def _in_shape(
    code: str, detail: str, status: int, headers: dict[str, str] | None = None
) -> HttpResponse:
    body = {"code": code, "detail": detail, "fields": {}}
    return JsonResponse(body, status=status, headers=headers)


def _plain(detail: str, status: int, headers: dict[str, str] | None = None) -> HttpResponse:
    kind = "text/plain; charset=utf-8"
    return HttpResponse(detail, status=status, headers=headers, content_type=kind)


def _page(request: HttpRequest, title: str, detail: str, status: int) -> HttpResponse:
    """Return a page of the admin with its navigation; a plain text for who may not see that."""
    if not admin.site.has_permission(request):
        return _plain(detail, status)
    context = {**admin.site.each_context(request), "title": title, "detail": detail}
    return render(request, "config/failure.html", context, status=status)
