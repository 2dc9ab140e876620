"""What the user of a request may do, asked once per request."""

from __future__ import annotations

from django.http import HttpRequest

from projects.access import projects_with
from projects.ground.closed_box import Sight
from projects.roles import Right

_CACHE = "_tidemill_rights"


def may_enter(request: HttpRequest) -> bool:
    """Return whether the user may use the admin at all."""
    return bool(request.user.is_active and request.user.is_staff)


def may(request: HttpRequest, right: Right, project_id: int | None = None) -> bool:
    """Return whether the user has the right in the project, or in any project at all."""
    if not may_enter(request):
        return False
    if request.user.is_superuser:
        return True
    ids = _project_ids(request, right)
    return bool(ids) if project_id is None else project_id in ids


def sight_of(request: HttpRequest) -> Sight:
    """Return what the request's user sees of neighbours."""
    if request.user.is_superuser and request.user.is_active:
        return Sight()
    return Sight(frozenset(_project_ids(request, Right.VIEW)))


def _project_ids(request: HttpRequest, right: Right) -> set[int]:
    cache: dict[Right, set[int]] = request.__dict__.setdefault(_CACHE, {})
    if right not in cache:
        cache[right] = set(projects_with(request.user, right).values_list("pk", flat=True))
    return cache[right]
