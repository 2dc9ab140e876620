"""Backfill plans: list, wizard, page, operations (B1, B21–B23, B25)."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from unfold.decorators import display

from backfill.admin.plan_page import live_context, page_context
from backfill.admin.wizard import downstream_view, edit_view, new_view
from backfill.filters import PlanFilter
from backfill.models import Plan
from backfill.models.shown import with_states
from backfill.reading.progress import progress_of
from backfill.states import PlanState
from backfill.verbs.noun import PLANS
from backfill.verbs.plans import delete_draft
from instances.admin.order import PROGRESS_ORDER
from instances.states import State
from projects.access import scope
from projects.admin.projects import project_choices
from projects.console.extensions import Entry, add_entry
from projects.console.rights import may
from projects.console.verb_pages import MOST_LISTED, VerbPages
from projects.ground.showing import NOTHING, badge, percent, state_bar, when
from projects.ground.words import gettext_lazy, pgettext_lazy, thousands
from projects.roles import Right
from projects.verbs.verb import Verb
from workflows.admin.choices import owner_choices
from workflows.models import Folder, Task, Workflow


@admin.register(Plan)
class PlanAdmin(VerbPages):
    """The backfill plans of the user's projects."""

    verb_noun = PLANS
    add_right = change_right = delete_right = Right.OPERATE
    filterset = PlanFilter
    shown_filters = {
        "state": gettext_lazy("Plan state"),
        "result": gettext_lazy("Result"),
        "project": gettext_lazy("Project"),
        "task_name": gettext_lazy("Task's name"),
        "task": gettext_lazy("Task's id"),
        "instance_state": gettext_lazy("Has instances that are"),
        "created_by": gettext_lazy("Created by"),
        "created_from": gettext_lazy("Created from"),
        "created_until": gettext_lazy("Created until"),
        "data_date_from": gettext_lazy("Data date from"),
        "data_date_until": gettext_lazy("Data date until"),
    }
    filter_choices = {"project": project_choices, "created_by": owner_choices}
    list_display = (
        "name",
        "state_shown",
        "result_shown",
        "progress_shown",
        "completion",
        "success",
        "dates",
        "tasks_shown",
        "instances_shown",
        "started",
        "ended",
        "created",
        "creator",
        "project",
    )
    phone_columns = ("name", "state_shown", "progress_shown", "dates")
    empty_text = gettext_lazy("No plan yet.")
    list_before_template = "tidemill/list_before.html"
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        rows = with_states(super().get_queryset(request))
        return rows.select_related("project", "created_by", "batch")

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        own = [
            path("add/", wrap(self.new), name="backfill_plan_add"),
            path("downstream/", wrap(self.downstream), name="backfill_plan_downstream"),
            path("<int:pk>/edit/", wrap(self.edit), name="backfill_plan_edit"),
            path("<int:pk>/live/", wrap(self.live), name="backfill_plan_live"),
        ]
        return own + super().get_urls()

    # --- list ----------------------------------------------------------------------------------

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        response = super().changelist_view(request, extra_context)
        context = getattr(response, "context_data", None)
        if context and "cl" in context:
            plans = list(context["cl"].result_list)
            progress = progress_of([plan.pk for plan in plans])
            for plan in plans:
                plan.progress = progress[plan.pk]
            context["cl"].result_list = plans
        return response

    @display(description=gettext_lazy("State"), ordering="shown_state")
    def state_shown(self, obj: Any) -> SafeString:
        return badge(obj.progress.tone, obj.progress.spelled)

    @display(description=gettext_lazy("Result"), ordering="result")
    def result_shown(self, obj: Any) -> str:
        return str(obj.progress.result.label)

    @display(description=gettext_lazy("Progress"))
    def progress_shown(self, obj: Any) -> SafeString:
        shown = obj.progress
        return format_html(
            '<a class="tm-bar-link" href="{}">{}</a>',
            f"{reverse('admin:instances_instance_changelist')}?plan={obj.pk}",
            state_bar(shown.by_state, shown.total, PROGRESS_ORDER),
        )

    @display(description=pgettext_lazy("share", "Completed"))
    def completion(self, obj: Any) -> str:
        return percent(obj.progress.completion_rate)

    @display(description=gettext_lazy("Succeeded"))
    def success(self, obj: Any) -> str:
        return percent(obj.progress.success_rate)

    @display(description=gettext_lazy("Data dates"), ordering="first_data_date")
    def dates(self, obj: Plan) -> str | SafeString:
        if obj.first_data_date is None:
            return NOTHING
        if obj.first_data_date == obj.last_data_date:
            return f"{obj.first_data_date}"
        return f"{obj.first_data_date} – {obj.last_data_date}"

    @display(description=gettext_lazy("Tasks"), ordering="task_count")
    def tasks_shown(self, obj: Plan) -> str:
        return thousands(obj.task_count)

    @display(description=gettext_lazy("Instances"))
    def instances_shown(self, obj: Any) -> str:
        return thousands(obj.progress.total)

    @display(description=gettext_lazy("Start"))
    def started(self, obj: Any) -> SafeString:
        return when(obj.progress.started_at)

    @display(description=gettext_lazy("End"))
    def ended(self, obj: Any) -> SafeString:
        return when(obj.progress.ended_at)

    @display(description=gettext_lazy("Created"), ordering="created_at")
    def created(self, obj: Plan) -> SafeString:
        return when(obj.created_at)

    @display(description=gettext_lazy("Creator"), ordering="created_by__username")
    def creator(self, obj: Plan) -> str:
        return str(obj.created_by) if obj.created_by else _("system")

    # --- making and changing -------------------------------------------------------------------

    def new(self, request: HttpRequest) -> HttpResponse:
        if not self.has_add_permission(request):
            refused = _("Your roles do not allow you to make backfill plans.")
            self.message_user(request, refused, "error")
            return HttpResponseRedirect(self.url("changelist"))
        return new_view(self, request)

    def downstream(self, request: HttpRequest) -> HttpResponse:
        return downstream_view(request)

    def edit(self, request: HttpRequest, pk: int) -> HttpResponse:
        plan = self.require_object(request, pk, Right.OPERATE)
        if plan.state != PlanState.DRAFT:
            return HttpResponseRedirect(self.url("change", pk))
        return edit_view(self, request, plan)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_draft = obj is None or obj.state == PlanState.DRAFT
        return is_draft and super().has_delete_permission(request, obj)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        delete_draft(actor=request.user, plan_id=obj.pk)

    # --- the page of one -----------------------------------------------------------------------

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        plan = self.require_object(request, object_id)
        context = {
            "opts": self.opts,
            "original": plan,
            "may_operate": may(request, Right.OPERATE, plan.project_id),
            **page_context(request, plan),
        }
        context["buttons"] = self._buttons(request, plan, context["state"])
        return self.page(request, "backfill/plan.html", plan.name, context, of=plan)

    def live(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The part of the page that changes, asked for every few seconds until it is final."""
        plan = self.require_object(request, pk)
        context = live_context(request, plan)
        context["may_operate"] = may(request, Right.OPERATE, plan.project_id)
        context["buttons"] = self._buttons(request, plan, context["state"])
        return render(request, "backfill/live.html", context)

    def _buttons(self, request: HttpRequest, plan: Plan, state: PlanState) -> list[dict[str, Any]]:
        """Return the verbs of the page's head; a draft's leads to its preview instead."""
        if state == PlanState.DRAFT:
            return []
        return self.buttons(request, plan.pk, plan.project_id, state)

    # --- verbs ---------------------------------------------------------------------------------

    def verb_context(self, request: HttpRequest, verb: Verb, rows: QuerySet) -> dict[str, Any]:
        """Show how far the plans have come that are acted on, and what of them runs."""
        acting = PLANS.with_state(scope(rows, request.user, verb.right))
        plans = list(acting.filter(verb_state__in=list(verb.effects)).order_by("pk")[:MOST_LISTED])
        progress = progress_of([plan.pk for plan in plans if plan.batch_id is not None])
        shown = [(plan, progress[plan.pk]) for plan in plans if plan.pk in progress]
        return {
            "extra": "backfill/operated.html",
            "plans": [
                (plan, one, running, one.total - one.finished - running)
                for plan, one in shown
                for running in [one.by_state.get(State.RUNNING, 0)]
            ],
        }


def _address(kind: str) -> Any:
    def address(request: HttpRequest, ids: list[int]) -> str:
        query = urlencode({"kind": kind, "ids": ",".join(map(str, ids))})
        return f"{reverse('admin:backfill_plan_add')}?{query}"

    return address


_CHOSEN = gettext_lazy("Backfill …")
for _model, _kind in ((Task, "tasks"), (Workflow, "workflows"), (Folder, "folders")):
    add_entry(
        _model,
        Entry("backfill_chosen", _CHOSEN, "event_repeat", Right.OPERATE, _address(_kind)),
    )
