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
from django.utils.translation import gettext as _
from unfold.decorators import display

from projects.admin.projects import project_choices
from projects.console.scoped import ReadOnlyAdmin
from projects.filters import OperationFilter
from projects.ground import clock
from projects.ground.showing import when
from projects.ground.words import gettext_lazy, thousands
from projects.models import Operation
from projects.verbs.background import cancel, may_cancel
from projects.verbs.catalogue import all_nouns, find_recorded
from projects.verbs.recording import seen_objects, seen_operations

OBJECTS_PER_PAGE = 100


@admin.register(Operation)
class OperationAdmin(ReadOnlyAdmin):
    """Who did what, when, with which options, to which objects."""

    filterset = OperationFilter
    shown_filters = {
        "verb": gettext_lazy("Verb"),
        "actor": gettext_lazy("User name"),
        "project": gettext_lazy("Project"),
        "object_type": gettext_lazy("Object"),
        "object_id": gettext_lazy("Object's id"),
        "created_from": gettext_lazy("From"),
        "created_until": gettext_lazy("Until"),
    }
    filter_choices = {"project": project_choices}
    list_display = ("number_shown", "created", "what", "who", "project", "number", "options_text")
    list_display_links = ("number_shown", "what")
    list_select_related = ("actor", "project")
    sortable_by = ("number_shown",)
    phone_columns = ("created", "what", "who", "number")
    empty_text = gettext_lazy("Nobody has changed anything yet.")

    @display(description=gettext_lazy("Operation"), ordering="verb")
    def what(self, obj: Operation) -> str:
        return spell_verb(obj.verb)

    @display(description=gettext_lazy("User"))
    def who(self, obj: Operation) -> str:
        return str(obj.actor) if obj.actor else _("system")

    @display(description=gettext_lazy("Objects"))
    def number(self, obj: Any) -> SafeString:
        notes = []
        if obj.seen_refused:
            left = _("· {count} left alone")
            notes.append(left.format(count=thousands(obj.seen_refused)))
        if obj.ended_at is None:
            running = _("· of {count}, running")
            notes.append(running.format(count=thousands(obj.seen_total)))
        shown = format_html_join("", ' <span class="tm-note">{}</span>', ((one,) for one in notes))
        return format_html("{}{}", thousands(obj.seen_succeeded), shown)

    @display(description=gettext_lazy("Options"))
    def options_text(self, obj: Operation) -> str:
        text = ", ".join(f"{key}: {_short(value)}" for key, value in obj.options.items())
        return text if len(text) <= 80 else f"{text[:79]}…"

    @display(description=gettext_lazy("ID"), ordering="id")
    def number_shown(self, obj: Operation) -> int:
        return obj.pk

    @display(description=gettext_lazy("When"), ordering="id")
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
    noun, _dot, action = verb.rpartition(".")
    declared = find_recorded(verb)
    spelled = declared.title if declared else _ACTIONS.get(action, _in_words(action))
    if not noun:
        return str(spelled)
    objects = _OBJECTS.get(noun) or _models().get(noun) or _in_words(noun).lower()
    return _("{verb} · {objects}").format(verb=spelled, objects=objects)


def _models() -> dict[str, str]:
    """What upper apps' objects are called together, by their name in records."""
    found = {f"{model._meta.model_name}s": model for model in admin.site._registry}
    found |= {noun.record: noun.model for noun in all_nouns() if noun.record}
    return {name: str(model._meta.verbose_name_plural) for name, model in found.items()}


def _in_words(name: str) -> str:
    return name.replace("_", " ").capitalize()


# What is recorded beside the declared verbs, and what records are about.
_ACTIONS = {
    "add": gettext_lazy("Add"),
    "change": gettext_lazy("Change"),
    "change_password": gettext_lazy("Change password"),
    "change_role": gettext_lazy("Change role"),
    "create": gettext_lazy("Create"),
    "delete": gettext_lazy("Delete"),
    "delete_draft": gettext_lazy("Delete draft"),
    "import": gettext_lazy("Import"),
    "login_failed": gettext_lazy("Login failed"),
    "make": gettext_lazy("Make"),
    "move": gettext_lazy("Move"),
    "remove": gettext_lazy("Remove"),
    "rename": gettext_lazy("Rename"),
    "revoke": gettext_lazy("Revoke"),
    "save_draft": gettext_lazy("Save draft"),
    "set_owners": gettext_lazy("Set owners"),
    "update": gettext_lazy("Update"),
}
_OBJECTS = {
    "data_sources": gettext_lazy("data sources"),
    "members": gettext_lazy("members"),
    "projects": gettext_lazy("projects"),
    "resource_groups": gettext_lazy("resource groups"),
    "tokens": gettext_lazy("tokens"),
    "users": gettext_lazy("users"),
}


def object_url(object_type: str, object_id: int) -> str:
    """Return the page of an object that an operation was about; empty when it has none."""
    for model in admin.site._registry:
        if (meta := model._meta).verbose_name_raw.replace(" ", "_") == object_type:
            return reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[object_id])
    return ""


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _pretty(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
