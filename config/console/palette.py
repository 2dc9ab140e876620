"""Ctrl-K: pages and objects by a part of their name, or an instance by its id.

Unfold's own search knows neither projects nor roles, and keeps what it found for minutes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django_filters import FilterSet

from backfill.filters import PlanFilter
from backfill.models import Plan
from config.console.menu import UNFOLD
from instances.filters import InstanceFilter
from instances.models import Instance
from projects.access import projects_with, scope
from projects.filters import ProjectFilter
from projects.models import Project
from workflows.filters import TaskFilter, WorkflowFilter
from workflows.models import Task, Workflow

MOST_OF_A_KIND = 6
MOST_LETTERS = 200


@dataclass(frozen=True, slots=True)
class Found:
    """A page that fits: its title, what it is, where it is."""

    title: str
    description: str
    link: str
    icon: str


@dataclass(frozen=True, slots=True)
class Kind:
    """Objects to look among: `rows` makes those of a user, `describe` says what one is."""

    model: type[Model]
    filterset: type[FilterSet]
    icon: str
    rows: Callable[[Any], QuerySet]
    describe: Callable[[Any], tuple[str, str]]

    def find(self, request: HttpRequest, term: str) -> list[Found]:
        found = self.filterset({"search": term}, queryset=self.rows(request.user), request=request)
        if not found.is_valid():
            return []
        opts = self.model._meta
        return [
            Found(
                *self.describe(row),
                reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[row.pk]),
                self.icon,
            )
            for row in found.qs.order_by("-pk")[:MOST_OF_A_KIND]
        ]


KINDS = (
    Kind(
        Task,
        TaskFilter,
        "task_alt",
        lambda user: scope(Task.objects.select_related("workflow").defer("draft"), user),
        lambda row: (row.name, _("Task of {name}").format(name=row.workflow.name)),
    ),
    Kind(
        Workflow,
        WorkflowFilter,
        "account_tree",
        lambda user: scope(Workflow.objects.select_related("project"), user),
        lambda row: (row.name, _("Workflow of {name}").format(name=row.project.name)),
    ),
    Kind(
        Plan,
        PlanFilter,
        "event_repeat",
        lambda user: scope(Plan.objects.select_related("project").defer("spec"), user),
        lambda row: (row.name, _("Backfill plan of {name}").format(name=row.project.name)),
    ),
    Kind(
        Instance,
        InstanceFilter,
        "stacks",
        lambda user: scope(Instance.objects.select_related("task").defer("task__draft"), user),
        lambda row: (
            f"{row.task.name} {row.data_date} {row.local_time:%H:%M}",
            _("Instance #{id}: {state}").format(id=row.pk, state=row.get_state_display().lower()),
        ),
    ),
    Kind(
        Project,
        ProjectFilter,
        "domain",
        lambda user: projects_with(user),
        lambda row: (row.name, _("Project")),
    ),
)


def search(request: HttpRequest) -> HttpResponse:
    """Show what fits the text `s`, as a part of the page."""
    term = request.GET.get("s", "").strip()[:MOST_LETTERS]
    results = [*_pages(term), *_objects(request, term)] if term else []
    return render(request, "tidemill/found.html", {"term": term, "results": results})


def _pages(term: str) -> list[Found]:
    items = [item for group in UNFOLD["SIDEBAR"]["navigation"] for item in group["items"]]
    return [
        Found(title, _("Page"), str(item["link"]), item["icon"])
        for item in items
        for title in [str(item["title"])]
        if term.lower() in title.lower() and "permission" not in item
    ]


def _objects(request: HttpRequest, term: str) -> list[Found]:
    return [one for kind in KINDS for one in kind.find(request, term)]
