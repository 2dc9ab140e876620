"""Tasks: list, page, the form of the draft, submission (T1, T3, T8, T9, T11–T13)."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from unfold.decorators import display

from projects.admin.projects import project_choices
from projects.console.extensions import entry_actions
from projects.console.verb_pages import VerbPages
from projects.ground import clock
from projects.ground.refusals import Refusal
from projects.ground.showing import NOTHING, badge, link, names, when
from projects.ground.words import gettext_lazy
from projects.roles import Right
from workflows.admin.choices import (
    folder_choices,
    group_choices,
    owner_choices,
    workflow_choices,
)
from workflows.admin.draft_fields import config_names
from workflows.admin.task_form import BaseTaskForm, conditional_fields, task_form
from workflows.admin.task_page import (
    diff_context,
    doubts_of,
    faults_of,
    page_context,
    preview_context,
    read_draft,
)
from workflows.choices import TaskStatus, cycle_label
from workflows.editing.drafts import create_task, delete_draft_task
from workflows.editing.tasks import update_task
from workflows.filters import TaskFilter
from workflows.models import Task
from workflows.status import with_status
from workflows.verbs.noun import TASKS
from workflows.verbs.submit import SubmissionRefused, submit_tasks

_SUBMITTED = {
    "submitted": gettext_lazy("{task}: submitted."),
    "reactivated": gettext_lazy("{task}: submitted again, and back in operations."),
    "unchanged": gettext_lazy("{task}: the draft has not changed: nothing was done."),
}


@admin.register(Task)
class TaskAdmin(VerbPages):
    """The tasks of the user's projects."""

    verb_noun = TASKS
    add_right = change_right = delete_right = Right.DEVELOP
    filterset = TaskFilter
    shown_filters = {
        "status": gettext_lazy("Status"),
        "project": gettext_lazy("Project"),
        "workflow": gettext_lazy("Workflow"),
        "folder": gettext_lazy("Folder"),
        "type": gettext_lazy("Type"),
        "cycle": gettext_lazy("Cycle"),
        "resource_group": gettext_lazy("Resource group"),
        "owner": gettext_lazy("Owner"),
    }
    filter_choices = {
        "project": project_choices,
        "workflow": workflow_choices,
        "folder": folder_choices,
        "resource_group": group_choices,
        "owner": owner_choices,
    }
    form = BaseTaskForm
    list_display = (
        "name_shown",
        "status_shown",
        "workflow_shown",
        "type",
        "cycle_shown",
        "next_fire",
        "owners_shown",
        "folder_shown",
        "resource_group",
        "submitted",
        "first_run",
        "created",
        "effective_since",
        "effective_till",
        "project",
    )
    list_display_links = ("name_shown",)
    phone_columns = ("name_shown", "status_shown", "workflow_shown", "next_fire")
    empty_text = gettext_lazy("No task yet: open a workflow and add one, or import its YAML file.")
    list_before_template = "tidemill/list_before.html"
    ordering = ("workflow__name", "position", "name", "pk")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "workflow",
                    "name",
                    "type",
                    "description",
                    "code",
                )
            },
        ),
        (
            gettext_lazy("Schedule"),
            {
                "fields": (
                    "schedule_cycle",
                    "schedule_every",
                    "schedule_from",
                    "schedule_until",
                    "schedule_hours",
                    "schedule_minute",
                    "schedule_weekdays",
                    "schedule_days",
                    "schedule_dates",
                    "schedule_at",
                    "schedule_expression",
                    "schedule_time_zone",
                    "schedule_effective_from",
                    "schedule_effective_until",
                )
            },
        ),
        (gettext_lazy("Dependencies"), {"fields": ("depends_on", "self_dependent")}),
        (gettext_lazy("Parameters"), {"fields": ("parameters",)}),
        (
            gettext_lazy("Running"),
            {
                "fields": (
                    "priority",
                    "resource_group",
                    "max_parallel",
                    "timeout",
                    "retries_limit",
                    "retries_interval",
                    "retries_backoff",
                    "retries_max_interval",
                    "catch_up",
                )
            },
        ),
    )

    @property
    def conditional_fields(self) -> dict[str, str]:
        return conditional_fields()

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Add the settings of all types, of which the page shows those of the chosen one."""
        (title, first), *others = self.fieldsets
        return [(title, {"fields": (*first["fields"], *config_names(), "owners")}), *others]

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        rows = super().get_queryset(request)
        return with_status(
            rows.select_related(
                "project", "workflow__folder", "workflow__project", "resource_group", "version"
            )
            .prefetch_related("owners")
            .defer("version__definition"),
            clock.now(),
        )

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm]:
        kwargs["fields"] = ("name",)  # the others are the form's own, not the model's
        form = super().get_form(request, obj, change=change, form=task_form(), **kwargs)
        return type(form.__name__, (form,), {"request": request})

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        own = [
            path("<int:pk>/edit/", wrap(self.edit), name="workflows_task_edit"),
            path("<int:pk>/submit/", wrap(self.submit), name="workflows_task_submit"),
            path("<int:pk>/preview/", wrap(self.preview), name="workflows_task_preview"),
            path(
                "<int:pk>/version/<int:number>/", wrap(self.version), name="workflows_task_version"
            ),
        ]
        return own + super().get_urls()

    # --- list ----------------------------------------------------------------------------------

    @display(description=gettext_lazy("Task"), ordering="name")
    def name_shown(self, obj: Task) -> SafeString:
        return format_html('{} <span class="tm-note">#{}</span>', obj.name, obj.pk)

    @display(description=gettext_lazy("Status"), ordering="effective_status")
    def status_shown(self, obj: Any) -> SafeString:
        return badge(obj.effective_status, TaskStatus(obj.effective_status).label)

    @display(description=gettext_lazy("Workflow"), ordering="workflow__name")
    def workflow_shown(self, obj: Task) -> SafeString:
        url = reverse("admin:workflows_workflow_change", args=[obj.workflow_id])
        return link(url, obj.workflow.name)

    @display(description=gettext_lazy("Cycle"), ordering="cycle")
    def cycle_shown(self, obj: Task) -> str | SafeString:
        return cycle_label(obj.cycle) if obj.cycle else NOTHING

    @display(description=gettext_lazy("Next instance"), ordering="next_fire_at")
    def next_fire(self, obj: Task) -> SafeString:
        return when(obj.next_fire_at)

    @display(description=gettext_lazy("Owners"))
    def owners_shown(self, obj: Task) -> SafeString:
        return names(obj.owners.all())

    @display(description=gettext_lazy("Folder"), ordering="workflow__folder__path")
    def folder_shown(self, obj: Task) -> str | SafeString:
        return obj.workflow.folder.path if obj.workflow.folder else NOTHING

    @display(description=gettext_lazy("Last submission"), ordering="last_submitted_at")
    def submitted(self, obj: Task) -> SafeString:
        return when(obj.last_submitted_at)

    @display(description=gettext_lazy("First run"), ordering="first_run_at")
    def first_run(self, obj: Task) -> SafeString:
        return when(obj.first_run_at)

    @display(description=gettext_lazy("Created"), ordering="first_submitted_at")
    def created(self, obj: Task) -> SafeString:
        return when(obj.first_submitted_at)

    @display(description=gettext_lazy("Effective from"), ordering="effective_from")
    def effective_since(self, obj: Task) -> SafeString:
        return when(obj.effective_from)

    @display(description=gettext_lazy("Effective until"), ordering="effective_until")
    def effective_till(self, obj: Task) -> SafeString:
        return when(obj.effective_until)

    # --- actions -------------------------------------------------------------------------------

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return super().get_actions(request) | entry_actions(request, Task)

    # --- the page of one -----------------------------------------------------------------------

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        return self._task_page(request, self.require_object(request, object_id))

    def _task_page(self, request: HttpRequest, task: Task, **context: Any) -> HttpResponse:
        found = {"opts": self.opts, "original": task, **page_context(request, task), **context}
        buttons = self.buttons(request, task.pk, task.project_id, found["status"])
        found["buttons"] = [one for one in buttons if one["verb"] is not submit_tasks]
        return self.page(request, "workflows/task.html", task.name, found, of=task)

    def edit(self, request: HttpRequest, pk: int) -> HttpResponse:
        self.require_object(request, pk, Right.DEVELOP)
        return self.changeform_view(request, str(pk))

    def submit(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Submit the draft with a comment; what is wrong with it stands above the page."""
        task = self.require_object(request, pk)
        if request.method != "POST":
            return HttpResponseRedirect(self.url("change", pk))
        comment = request.POST.get("comment", "").strip()
        try:
            result = submit_tasks(actor=request.user, ids=[pk], comment=comment)
        except SubmissionRefused as refusal:
            return self._task_page(
                request, task, problems=faults_of(task, refusal.problems), comment=comment
            )
        except Refusal as refusal:
            self.message_user(request, refusal.detail, "error")
        else:
            said = _SUBMITTED[result.outcomes[0].code].format(task=task.name)
            self.message_user(request, said)
        return HttpResponseRedirect(self.url("change", pk))

    def preview(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The parameters on a date, and the planned times that follow; a part of the page."""
        task = self.require_object(request, pk)
        return render(request, "workflows/preview.html", preview_context(request, task))

    def version(self, request: HttpRequest, pk: int, number: int) -> HttpResponse:
        """What a version changed; number 0 is the draft. A part of the page."""
        task = self.require_object(request, pk)
        context = diff_context(request, task, number)
        if context is None:
            raise Http404
        return render(request, "workflows/version.html", context)

    # --- saving --------------------------------------------------------------------------------

    def create(self, request: HttpRequest, form: Any) -> Task:
        owners = [user.pk for user in form.cleaned_data["owners"]]
        return create_task(
            actor=request.user,
            workflow_id=form.cleaned_data["workflow"].pk,
            name=form.cleaned_data["name"],
            draft=form.draft(),
            owner_ids=owners or None,
        )

    def update(self, request: HttpRequest, obj: Any, form: Any) -> None:
        data, changed = form.cleaned_data, form.edited
        owners = [user.pk for user in data["owners"]] if "owners" in changed else None
        update_task(
            actor=request.user,
            task_id=obj.pk,
            name=data["name"] if "name" in changed else None,
            draft=form.draft() if changed - {"name", "owners"} else None,
            owner_ids=owners,
            revision=form.based_on if changed else None,
        )

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        delete_draft_task(actor=request.user, task_id=obj.pk)

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        return self.response_change(request, obj)

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        self.message_user(request, _("The draft was saved; submit it to put it into force."))
        task = self.get_object(request, str(obj.pk))
        definition = read_draft(task)[0]
        for doubt in doubts_of(request, task, definition):
            told = format_html(
                _("As it is, it would be refused: {field}: {message}"),
                field=link(doubt.address, doubt.label),
                message=doubt.message,
            )
            self.message_user(request, told, "warning")
        return HttpResponseRedirect(self.url("change", obj.pk))
