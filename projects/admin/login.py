"""The admin's login page, with the bound that the API's login has (P4)."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from projects.administration.logins import TOO_OFTEN, LoginThrottle, turned_away


def login(request: HttpRequest) -> HttpResponseBase:
    """Show the page, or take a name and a password unless too many came from the address."""
    throttle = LoginThrottle()
    if request.method == "POST" and not throttle.allow_request(request, None):  # type: ignore[arg-type]
        return turned_away(request, "throttled", TOO_OFTEN)
    return admin.site.login(request)
