"""The operation record: read, filtered, never changed (P3)."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display

from projects.admin.projects import project_choices
from projects.admin.scoped import ReadOnlyAdmin
from projects.filters import OperationFilter
from projects.models import Operation, OperationObject
from projects.showing import when

OBJECTS_PER_PAGE = 100
# The pages of the objects that operations are about.
_APPS = {
    "batch": "",
    "data_source": "projects_datasource",
    "folder": "workflows_folder",
    "instance": "instances_instance",
    "plan": "backfill_plan",
    "project": "projects_project",
    "resource_group": "projects_resourcegroup",
    "task": "workflows_task",
    "workflow": "workflows_workflow",
}


@admin.register(Operation)
class OperationAdmin(ReadOnlyAdmin):
    """Who did what, when, with which options, to which objects."""

    filterset = OperationFilter
    shown_filters = {
        "verb": "Verb",
        "actor": "User name",
        "project": "Project",
        "object_type": "Object",
        "object_id": "Object's id",
        "created_from": "From",
        "created_until": "Until",
    }
    filter_choices = {"project": project_choices}
    list_display = ("id", "what", "who", "project", "number", "options_text", "created")
    list_display_links = ("id", "what")
    list_select_related = ("actor", "project")
    sortable_by = ("id",)

    @display(description="Operation", ordering="verb")
    def what(self, obj: Operation) -> str:
        return spell_verb(obj.verb)

    @display(description="User")
    def who(self, obj: Operation) -> str:
        return str(obj.actor) if obj.actor else "system"

    @display(description="Objects")
    def number(self, obj: Operation) -> SafeString:
        if not obj.refused:
            return format_html("{}", f"{obj.succeeded:,}")
        return format_html(
            '{} <span class="tm-note">· {} left alone</span>',
            f"{obj.succeeded:,}",
            f"{obj.refused:,}",
        )

    @display(description="Options")
    def options_text(self, obj: Operation) -> str:
        text = ", ".join(f"{key}: {_short(value)}" for key, value in obj.options.items())
        return text if len(text) <= 80 else f"{text[:79]}…"

    @display(description="When", ordering="id")
    def created(self, obj: Operation) -> SafeString:
        return when(obj.created_at)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        operation = self.require_object(request, object_id)
        objects = Paginator(
            OperationObject.objects.filter(operation=operation).order_by("ok", "id"),
            OBJECTS_PER_PAGE,
        ).get_page(request.GET.get("page"))
        context = {
            "operation": operation,
            "what": spell_verb(operation.verb),
            "who": self.who(operation),
            "options": [(key, _pretty(value)) for key, value in operation.options.items()],
            "objects": objects,
            "rows": [(row, object_url(row.object_type, row.object_id)) for row in objects],
        }
        return self.page(
            request,
            "projects/operation.html",
            f"{spell_verb(operation.verb)} #{operation.pk}",
            context,
        )


def spell_verb(verb: str) -> str:
    """Return "instances.mark_success" as "Mark success · instances"."""
    noun, _, action = verb.rpartition(".")
    spelled = action.replace("_", " ").capitalize()
    return f"{spelled} · {noun.replace('_', ' ')}" if noun else spelled


def object_url(object_type: str, object_id: int) -> str:
    """Return the page of an object that an operation was about; empty when it has none."""
    if not _APPS.get(object_type):
        return ""
    try:
        return reverse(f"admin:{_APPS[object_type]}_change", args=[object_id])
    except NoReverseMatch:
        return ""


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _pretty(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
