"""Instances: the list that operators live in, and the page of one (I1–I4, I6–I8, I11, I12)."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from unfold.decorators import display

from instances.admin import task_panels
from instances.admin.choices import plan_choices, plan_shown
from instances.admin.edge_lines import upstream_lines
from instances.admin.instance_page import detailed, page_context
from instances.error_codes.explanations import explain
from instances.filters import InstanceFilter
from instances.logs.reading import read_log
from instances.models import Execution, Instance
from instances.reading.counts import count_states, spell_count
from instances.states import State
from instances.verbs.noun import INSTANCES
from projects.access import scope
from projects.admin.projects import project_choices
from projects.console.filtering import filter_rows
from projects.console.scoped import Crumb, ReadOnlyAdmin
from projects.console.verb_pages import VerbPages, numbers
from projects.ground import clock
from projects.ground.showing import (
    NOTHING,
    badge,
    data_time_text,
    duration,
    link,
    names,
    when,
)
from projects.ground.words import gettext_lazy, pgettext_lazy
from projects.verbs.verb import Verb
from workflows.admin.choices import (
    group_choices,
    owner_choices,
    type_choices,
    workflow_choices,
)
from workflows.choices import cycle_label


@admin.register(Instance)
class InstanceAdmin(VerbPages, ReadOnlyAdmin):
    """Every instance of the user's projects."""

    verb_noun = INSTANCES
    filterset = InstanceFilter
    shown_filters = {
        "state": gettext_lazy("State"),
        "settled": gettext_lazy("Marked by hand"),
        "kind": gettext_lazy("Kind"),
        "project": gettext_lazy("Project"),
        "workflow": gettext_lazy("Workflow"),
        "task": gettext_lazy("Task's id"),
        "plan": gettext_lazy("Backfill plan"),
        "data_time_from": gettext_lazy("Data time from"),
        "data_time_until": gettext_lazy("Data time until"),
        "started_from": gettext_lazy("Started from"),
        "started_until": gettext_lazy("Started until"),
        "type": gettext_lazy("Type"),
        "cycle": gettext_lazy("Cycle"),
        "resource_group": gettext_lazy("Resource group"),
        "owner": gettext_lazy("Owner"),
        "error_code": gettext_lazy("Error code"),
    }
    filter_choices = {
        "project": project_choices,
        "workflow": workflow_choices,
        "plan": plan_choices,
        "type": type_choices,
        "resource_group": group_choices,
        "owner": owner_choices,
    }
    list_display = (
        "state_shown",
        "task_shown",
        "data_time",
        "planned",
        "kind_shown",
        "started",
        "ended",
        "took",
        "retries",
        "runs",
        "workflow",
        "type_shown",
        "cycle",
        "resource_group",
        "owners",
        "folder",
        "priority_shown",
    )
    list_display_links = ("task_shown",)
    phone_columns = ("state_shown", "task_shown", "data_time", "took")
    empty_text = gettext_lazy("No instance yet: they come from schedules and from backfill plans.")
    list_before_template = "instances/list_before.html"
    ordering = ("-id",)
    search_help_text = gettext_lazy("Part of a task's name, or an id; several with |")

    # --- list ----------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return detailed(super().get_queryset(request))

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        @display(description=_("Plan"))
        def plan(obj: Instance) -> SafeString:
            return plan_shown(request, obj)  # who reads decides what is shown

        return [*super().get_list_display(request), plan]

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        own = [
            path("<int:pk>/live/", wrap(self.live), name="instances_instance_live"),
            path("execution/<int:pk>/log/", wrap(self.log), name="instances_execution_log"),
            path("execution/<int:pk>/", wrap(self.execution), name="instances_execution"),
        ]
        return own + task_panels.urls(wrap) + super().get_urls()

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        response = super().changelist_view(request, extra_context)
        context = getattr(response, "context_data", None)
        if context and "cl" in context:
            context["chips"] = self._chips(request)
        return response

    def _chips(self, request: HttpRequest) -> list[dict[str, Any]]:
        """The states with their numbers under the other filters."""
        data = request.GET.copy()
        for name in ("state", "p", "o", "all", "e"):
            data.pop(name, None)
        rows = filter_rows(InstanceFilter, request, self.get_queryset(request), data)
        counts = count_states(rows)
        chosen = request.GET.getlist("state")
        chips = []
        for state in State:
            if state not in counts and state.value not in chosen:
                continue
            own = data.copy()
            if chosen != [state.value]:
                own["state"] = state.value
            chips.append(
                {
                    "state": state,
                    "number": counts.get(state, 0),
                    "spelled": spell_count(counts.get(state, 0)),
                    "url": f"?{own.urlencode()}",
                    "active": state.value in chosen,
                }
            )
        return chips

    @display(description=gettext_lazy("State"), ordering="state")
    def state_shown(self, obj: Instance) -> SafeString:
        shown = badge(obj.state, obj.state_label, title=obj.error_message[:300])
        if obj.marked:
            return format_html('{} <span class="tm-note">{}</span>', shown, _("marked success"))
        if not obj.error_code:
            return shown
        return format_html(
            '{} <span class="tm-note" title="{}">{}</span>',
            shown,
            explain(obj.error_code).title,
            obj.error_code,
        )

    @display(description=gettext_lazy("Task"), ordering="task__name")
    def task_shown(self, obj: Instance) -> SafeString:
        id_shown = f"#{obj.pk}"
        if obj.dry:
            id_shown = _("{id} · dry").format(id=id_shown)
        return format_html('{} <span class="tm-note">{}</span>', obj.task.name, id_shown)

    @display(description=gettext_lazy("Data time"), ordering="data_date")
    def data_time(self, obj: Instance) -> SafeString:
        text = data_time_text(obj.data_date, obj.local_time)
        return format_html('<span class="tm-time">{}</span>', text)

    @display(description=gettext_lazy("Planned"), ordering="scheduled_at")
    def planned(self, obj: Instance) -> SafeString:
        return when(obj.scheduled_at)

    @display(description=gettext_lazy("Kind"), ordering="kind")
    def kind_shown(self, obj: Instance) -> str:
        return obj.get_kind_display()

    @display(
        description=pgettext_lazy("time", "Start"), ordering=F("started_at").desc(nulls_last=True)
    )
    def started(self, obj: Instance) -> SafeString:
        return when(obj.started_at)

    @display(description=pgettext_lazy("time", "End"), ordering=F("ended_at").desc(nulls_last=True))
    def ended(self, obj: Instance) -> SafeString:
        return when(obj.ended_at)

    @display(
        description=gettext_lazy("Duration"),
        ordering=(F("ended_at") - F("started_at")).desc(nulls_last=True),
    )
    def took(self, obj: Instance) -> SafeString:
        return duration(obj.started_at, obj.ended_at, clock.now())

    @display(description=gettext_lazy("Retries"))
    def retries(self, obj: Instance) -> str:
        return f"{obj.retry_count}/{obj.retry_limit}"

    @display(description=gettext_lazy("Runs"), ordering="total_runs")
    def runs(self, obj: Instance) -> int:
        return obj.total_runs

    @display(description=gettext_lazy("Workflow"), ordering="task__workflow__name")
    def workflow(self, obj: Instance) -> SafeString:
        url = reverse("admin:workflows_workflow_change", args=[obj.task.workflow_id])
        title = _("Project {name}").format(name=obj.project.name)
        return link(url, obj.task.workflow.name, title=title)

    @display(description=gettext_lazy("Type"), ordering="version__type")
    def type_shown(self, obj: Instance) -> str:
        return obj.version.type

    @display(description=gettext_lazy("Cycle"), ordering="version__cycle")
    def cycle(self, obj: Instance) -> str:
        return cycle_label(obj.version.cycle)

    @display(description=gettext_lazy("Owners"))
    def owners(self, obj: Instance) -> SafeString:
        return names(obj.task.owners.all())

    @display(description=gettext_lazy("Folder"))
    def folder(self, obj: Instance) -> str | SafeString:
        folder = obj.task.workflow.folder
        return folder.path if folder else NOTHING

    @display(description=gettext_lazy("Priority"), ordering="priority")
    def priority_shown(self, obj: Instance) -> int:
        return obj.priority

    # --- verbs ---------------------------------------------------------------------------------

    def verb_context(self, request: HttpRequest, verb: Verb, rows: QuerySet) -> dict[str, Any]:
        """Show the edges of a single instance, for whom a verb acts on some of them."""
        only = scope(rows, request.user)[:2]
        if "edges" not in {option.name for option in verb.options} or len(only) != 1:
            return {"edges": []}
        lines, more = upstream_lines(request, only[0])
        edges = [line for line in lines if not line.removed]
        chosen = {line.edge_id for line in edges if line.state != State.SUCCESS}
        if "edges_listed" in request.POST:
            chosen = set(numbers(request.POST.getlist("edges")))
        extra = {"extra": "instances/choose_edges.html", "chosen_edges": chosen}
        return {**extra, "edges": edges, "more_edges": more}

    # --- the page of one -----------------------------------------------------------------------

    def get_object(
        self, request: HttpRequest, object_id: Any, from_field: str | None = None
    ) -> Any:
        if not str(object_id).isdigit():
            return None
        return self.get_queryset(request).filter(pk=int(object_id)).first()

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        instance = self.require_object(request, object_id)
        context = self._context(request, instance)
        chosen = self._chosen_execution(request, context)
        title = f"{instance.task.name} #{instance.pk}"
        context |= {"opts": self.opts, "original": Crumb(instance, title), "chosen": chosen}
        context["is_following"] = chosen is None or chosen == context["latest"]
        return self.page(request, "instances/instance.html", title, context, of=instance)

    def live(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The part of the page that changes, asked for every few seconds until it is final."""
        context = self._context(request, self.require_object(request, pk))
        return render(request, "instances/update.html", context)

    def _context(self, request: HttpRequest, instance: Instance) -> dict[str, Any]:
        buttons = self.buttons(request, instance.pk, instance.project_id, State(instance.state))
        return {**page_context(request, instance), "buttons": buttons}

    def _chosen_execution(self, request: HttpRequest, context: dict[str, Any]) -> Execution | None:
        wanted = request.GET.get("execution", "")
        listed = [execution for execution, *_ in context["executions"]]
        chosen = (one for one in listed if str(one.pk) == wanted)
        return next(chosen, context["latest"] or (listed[0] if listed else None))

    def execution(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Code and parameters of an execution, as a part of the instance's page."""
        return render(request, "instances/code.html", {"chosen": self._execution(request, pk)})

    def log(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The log from `position` on, as JSON for the live tail, or all of it as a text."""
        execution = self._execution(request, pk)
        if request.GET.get("format") == "text":
            return self._whole_log(execution)
        written = request.GET.get("position", "0")
        position = int(written) if written.isascii() and written.isdigit() else 0
        page = read_log(execution.pk, position=min(position, 2**31 - 1))
        return JsonResponse(
            {
                "text": page.text,
                "next_position": page.next_position,
                "finished": page.finished,
            }
        )

    def _whole_log(self, execution: Execution) -> HttpResponse:
        parts, position = [], 0
        while (page := read_log(execution.pk, position=position)).next_position != position:
            parts.append(page.text)
            position = page.next_position
        response = HttpResponse("".join(parts), content_type="text/plain; charset=utf-8")
        name = f"execution-{execution.pk}.log"
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        return response

    def _execution(self, request: HttpRequest, pk: int) -> Execution:
        rows = scope(Execution.objects.all(), request.user, path="instance__project")
        execution = rows.select_related("instance").filter(pk=pk).first()
        if execution is None:
            raise Http404(_("There is no execution {id} in your projects.").format(id=pk))
        return execution
