"""What the wizards under way have been told: kept in the session, one for each `?w=` address.

So each step has an address of its own, and neither Back nor a reload sends a form again.
"""

from __future__ import annotations

from dataclasses import fields
from secrets import token_urlsafe

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.http import urlencode

from backfill.admin.request import PlanRequest

KEY = "plan_wizards"
# Wizards under way side by side; the oldest is forgotten first.
MOST = 5
_NAMES = {field.name for field in fields(PlanRequest)}


def told(request: HttpRequest) -> PlanRequest | None:
    """Return what the wizard of the request's address was told; None for one that is not kept."""
    found = request.session.get(KEY, {}).get(request.GET.get("w", ""))
    if found is None or found.keys() != _NAMES:  # not kept any more, or by another version
        return None
    wanted = PlanRequest(**found)
    wanted.periods = [(first, last) for first, last in wanted.periods]
    return wanted


def keep(request: HttpRequest, wanted: PlanRequest, step: int) -> HttpResponse:
    """Keep what the wizard was told, and lead to a step of it."""
    kept = request.session.get(KEY, {})
    name = str(request.GET.get("w", ""))
    if name not in kept:
        name = token_urlsafe(6)
    kept.pop(name, None)
    told_now = {field: getattr(wanted, field) for field in _NAMES}
    request.session[KEY] = {**dict(list(kept.items())[1 - MOST :]), name: told_now}
    return HttpResponseRedirect(f"{request.path}?{urlencode({'w': name, 'step': str(step)})}")


def forget(request: HttpRequest) -> None:
    """Forget a wizard that came to its end."""
    kept = request.session.get(KEY, {})
    if kept.pop(request.GET.get("w", ""), None) is not None:
        request.session[KEY] = kept
