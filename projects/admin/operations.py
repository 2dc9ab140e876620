"""The operation record: read, filtered, never changed; what runs is followed (P3, I10)."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import display

from projects.admin.projects import project_choices
from projects.console.scoped import ReadOnlyAdmin
from projects.filters import OperationFilter
from projects.ground import clock
from projects.ground.showing import when
from projects.models import Operation
from projects.verbs.background import cancel, may_cancel
from projects.verbs.recording import seen_objects, seen_operations

OBJECTS_PER_PAGE = 100


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
    list_display = ("id", "created", "what", "who", "project", "number", "options_text")
    list_display_links = ("id", "what")
    list_select_related = ("actor", "project")
    sortable_by = ("id",)
    phone_columns = ("created", "what", "who", "number")
    empty_text = "Nobody has changed anything yet."

    @display(description="Operation", ordering="verb")
    def what(self, obj: Operation) -> str:
        return spell_verb(obj.verb)

    @display(description="User")
    def who(self, obj: Operation) -> str:
        return str(obj.actor) if obj.actor else "system"

    @display(description="Objects")
    def number(self, obj: Any) -> SafeString:
        notes = []
        if obj.seen_refused:
            notes.append(f"· {obj.seen_refused:,} left alone")
        if obj.ended_at is None:
            notes.append(f"· of {obj.seen_total:,}, running")
        shown = format_html_join("", ' <span class="tm-note">{}</span>', ((one,) for one in notes))
        return format_html("{}{}", f"{obj.seen_succeeded:,}", shown)

    @display(description="Options")
    def options_text(self, obj: Operation) -> str:
        text = ", ".join(f"{key}: {_short(value)}" for key, value in obj.options.items())
        return text if len(text) <= 80 else f"{text[:79]}…"

    @display(description="When", ordering="id")
    def created(self, obj: Operation) -> SafeString:
        return when(obj.created_at)

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return seen_operations(request.user).select_related("actor", "project")

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        own = [
            path("<int:pk>/progress/", wrap(self.progress), name="projects_operation_progress"),
            path("<int:pk>/cancel/", wrap(self.cancel), name="projects_operation_cancel"),
        ]
        return own + super().get_urls()

    def progress(self, request: HttpRequest, pk: int) -> HttpResponse:
        """How far an operation has come: a part of its page, asked for until it has ended."""
        operation = self.require_object(request, pk)
        response = render(request, "tidemill/verb/progress.html", _progress(request, operation))
        if operation.ended_at is not None:
            response["HX-Refresh"] = "true"  # the objects have their outcomes now
        return response

    def cancel(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Let no more chunks of an operation begin."""
        operation = self.require_object(request, pk)
        if request.method == "POST":
            self.attempt(request, cancel, operation_id=operation.pk)
        return HttpResponseRedirect(self.url("change", pk))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        operation = self.require_object(request, object_id)
        objects = Paginator(
            seen_objects(request.user, operation).order_by("ok", "id"),
            OBJECTS_PER_PAGE,
        ).get_page(request.GET.get("page"))
        context = {
            **_progress(request, operation),
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


def _progress(request: HttpRequest, operation: Any) -> dict[str, Any]:
    left = operation.time_left(clock.now())
    done = operation.seen_succeeded + operation.seen_refused
    return {
        "operation": operation,
        "done": done,
        "percent": 100 * done // max(1, operation.seen_total),
        "left": None if left is None else timedelta(seconds=round(left.total_seconds())),
        "may_cancel": operation.ended_at is None
        and operation.cancelled_at is None
        and may_cancel(request.user, operation),
    }


def spell_verb(verb: str) -> str:
    """Return "instances.mark_success" as "Mark success · instances"."""
    noun, _, action = verb.rpartition(".")
    spelled = action.replace("_", " ").capitalize()
    return f"{spelled} · {noun.replace('_', ' ')}" if noun else spelled


def object_url(object_type: str, object_id: int) -> str:
    """Return the page of an object that an operation was about; empty when it has none."""
    for model in admin.site._registry:
        if (meta := model._meta).verbose_name.replace(" ", "_") == object_type:  # type: ignore[union-attr]
            return reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[object_id])
    return ""


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _pretty(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
