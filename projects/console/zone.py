"""The one zone in which a page shows every time (U6), and what is typed into its filters is read.

It is the project's that the page is about. A page about several projects is in the zone that all
of its user's projects have; where they differ, in UTC. The API goes on in UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from projects.access import projects_with
from projects.ground.showing import use_zone
from projects.models import Project


class ZoneMiddleware:
    """Begin every page in the zone of its reader, and end with none."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with timezone.override(None):
            return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> None:
        match = request.resolver_match
        if match is None or match.app_name != "admin" or not request.user.is_authenticated:
            return
        projects = projects_with(request.user)
        chosen = request.GET.get("project", "")
        if chosen.isascii() and chosen.isdigit() and len(chosen) <= 18:
            projects = projects.filter(pk=int(chosen))
        _use_common(projects)


def use_zone_of(project_ids: Iterable[int]) -> None:
    """Show the times of a page in the zone of the projects that it is about, if they have one."""
    _use_common(Project.objects.filter(pk__in=set(project_ids)))


def _use_common(projects: QuerySet[Project]) -> None:
    zones = list(projects.order_by().values_list("time_zone", flat=True).distinct()[:2])
    use_zone(zones[0] if len(zones) == 1 else "UTC")
