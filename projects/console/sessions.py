"""When a session of the admin ends: so long after the last thing that its user did."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from projects.ground import clock

SEEN = "seen"
# A session is not written more often than this, in seconds.
RENEWED_SECONDS = 60


class IdleEnd:
    """Middleware that lets a session begin its SESSION_COOKIE_AGE anew with what its user does.

    A page that refreshes itself is nobody's doing.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        by_itself = request.method == "GET" and asks_for_itself(request)
        if not by_itself and request.user.is_authenticated:
            now = int(clock.now().timestamp())
            if now - request.session.get(SEEN, 0) >= RENEWED_SECONDS:
                request.session[SEEN] = now
        return self._get_response(request)


def asks_for_itself(request: HttpRequest) -> bool:
    """Whether a part of a page is asked for, and no person went to an address.

    Browsers say so, htmx too where they do not.
    """
    return "HX-Request" in request.headers or request.headers.get("Sec-Fetch-Dest") == "empty"
