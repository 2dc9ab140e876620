"""Who makes the request that is being answered: for records that no verb writes, but a signal."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

from django.http import HttpRequest, HttpResponse

from projects.access import Actor

_request: ContextVar[HttpRequest | None] = ContextVar("tidemill_request", default=None)


def acting_user() -> Actor:
    """Return the user of the request; None outside of one, and for who has not logged in."""
    user = getattr(_request.get(), "user", None)
    return user if user is not None and user.is_authenticated else None


class ActingUser:
    """Middleware that remembers the request; it stands after the one that finds the user."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        before = _request.set(request)
        try:
            return self._get_response(request)
        finally:
            _request.reset(before)
