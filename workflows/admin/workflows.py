"""Workflows: list, page with the drawn graph, settings, import and export (W1, W3, item 2)."""

from __future__ import annotations

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Count, Max, Min, Prefetch, Q, QuerySet, prefetch_related_objects
from django.db.models.lookups import Exact
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
)

from projects.access import projects_with, scope
from projects.admin.projects import project_choices
from projects.console.answering import report
from projects.console.extensions import entries_of, entry_actions, facts_of
from projects.console.rights import may
from projects.console.verb_pages import VerbPages
from projects.ground import clock
from projects.ground.showing import NOTHING, names, tone_of, when
from projects.ground.words import gettext_lazy
from projects.models import Project
from projects.roles import Right
from workflows.admin.choices import folder_choices, owner_choices
from workflows.admin.graphs import workflow_graph
from workflows.admin.importing import import_view
from workflows.admin.revised import RevisedForm
from workflows.bundles.exporting import export_workflows
from workflows.choices import TaskStatus
from workflows.editing.deleting import delete_draft_workflow
from workflows.editing.owners import possible_owners
from workflows.editing.workflows import create_workflow, update_workflow
from workflows.filters import WorkflowFilter
from workflows.models import Folder, TaskVersion, Workflow
from workflows.status import effective_status, status_at
from workflows.verbs.noun import TASKS, WORKFLOWS
from workflows.verbs.submit import submit_tasks

MOST_EXPORTED = 500
TASKS_A_PAGE = 50
# How many tasks there are of each status, in this order.
_COUNTED = (
    TaskStatus.SCHEDULING,
    TaskStatus.PAUSED,
    TaskStatus.INVALID,
    TaskStatus.OFFLINE,
    TaskStatus.DRAFT,
)


class WorkflowForm(RevisedForm):
    """A workflow's settings; its project is chosen once."""

    project = forms.ModelChoiceField(
        Project.objects.none(), label=gettext_lazy("Project"), widget=UnfoldAdminSelectWidget
    )
    folder = forms.ModelChoiceField(
        Folder.objects.none(),
        required=False,
        label=gettext_lazy("Folder"),
        empty_label=gettext_lazy("(the project's root)"),
        widget=UnfoldAdminSelectWidget,
    )
    description = forms.CharField(
        required=False,
        label=gettext_lazy("Description"),
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )
    owners = forms.ModelMultipleChoiceField(
        get_user_model().objects.none(),
        required=False,
        label=gettext_lazy("Owners"),
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=gettext_lazy("Members of the project; nobody chosen: you."),
    )

    class Meta:
        model = Workflow
        fields = ("project", "name", "folder", "description", "time_zone")

    request: HttpRequest

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        user, workflow = self.request.user, self.instance
        fields: dict[str, Any] = self.fields
        projects = projects_with(user, Right.DEVELOP)
        folders = scope(Folder.objects.select_related("project"), user, Right.DEVELOP)
        if workflow.pk:
            fields["project"].disabled = True
            projects = Project.objects.filter(pk=workflow.project_id)
            folders = folders.filter(project=workflow.project_id)
            owners = possible_owners(workflow.project_id)
            self.initial["owners"] = list(workflow.owners.values_list("pk", flat=True))
        else:
            member = Q(memberships__project__in=projects) | Q(is_superuser=True)
            owners = get_user_model().objects.filter(member, is_active=True).distinct()
        fields["project"].queryset = projects
        fields["folder"].queryset = folders.order_by("project__name", "path")
        fields["folder"].label_from_instance = lambda one: f"{one.project.name}: {one.path}"
        fields["owners"].queryset = owners.order_by("username")

    def _post_clean(self) -> None:
        """The verbs check names and zones."""

    def values(self) -> dict[str, Any]:
        """Return the arguments of the verbs, without the project."""
        data = self.cleaned_data
        return {
            "name": data["name"],
            "folder_id": data["folder"].pk if data["folder"] else None,
            "description": data["description"],
            "time_zone": data["time_zone"],
            "owner_ids": [user.pk for user in data["owners"]],
        }


@admin.register(Workflow)
class WorkflowAdmin(VerbPages):
    """The workflows of the user's projects."""

    verb_noun = WORKFLOWS
    add_right = change_right = delete_right = Right.DEVELOP
    filterset = WorkflowFilter
    shown_filters = {
        "project": gettext_lazy("Project"),
        "folder": gettext_lazy("Folder"),
        "owner": gettext_lazy("Owner"),
    }
    filter_choices = {
        "project": project_choices,
        "folder": folder_choices,
        "owner": owner_choices,
    }
    form = WorkflowForm
    fields = ("project", "name", "folder", "description", "time_zone", "owners")
    list_display = (
        "name",
        "number_shown",
        "project",
        "folder_shown",
        "owners_shown",
        "tasks_shown",
        "first_submission",
        "last_submission",
    )
    phone_columns = ("name", "project", "tasks_shown")
    empty_text = gettext_lazy("No workflow yet: add one, or import its YAML file.")
    list_before_template = "tidemill/list_before.html"
    ordering = ("project__name", "name")
    actions = ("export_chosen",)
    actions_list = ("import_file",)

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        status = effective_status(clock.now(), path="tasks__")
        return (
            super()
            .get_queryset(request)
            .select_related("project", "folder")
            .prefetch_related("owners")
            .annotate(
                first_submitted=Min("tasks__first_submitted_at"),
                last_submitted=Max("tasks__last_submitted_at"),
                task_total=Count("tasks"),
                **{
                    f"{one.name.lower()}_total": Count("tasks", filter=Exact(status, one.value))
                    for one in _COUNTED
                },
            )
        )

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm]:
        form = super().get_form(request, obj, change=change, **kwargs)
        return type(form.__name__, (form,), {"request": request})

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        own = [
            path("import/", wrap(self.import_page), name="workflows_workflow_import"),
            path("<int:pk>/edit/", wrap(self.edit), name="workflows_workflow_edit"),
            path("<int:pk>/export/", wrap(self.export), name="workflows_workflow_export"),
            path("<int:pk>/submit/", wrap(self.submit), name="workflows_workflow_submit"),
        ]
        return own + super().get_urls()

    # --- list ----------------------------------------------------------------------------------

    @display(description=gettext_lazy("ID"), ordering="pk")
    def number_shown(self, obj: Workflow) -> int:
        return obj.pk

    @display(description=gettext_lazy("Folder"), ordering="folder__path")
    def folder_shown(self, obj: Workflow) -> str | SafeString:
        return obj.folder.path if obj.folder else NOTHING

    @display(description=gettext_lazy("Owners"))
    def owners_shown(self, obj: Workflow) -> SafeString:
        return names(obj.owners.all())

    @display(description=gettext_lazy("Tasks"), ordering="task_total")
    def tasks_shown(self, obj: Any) -> SafeString:
        parts = [(one, getattr(obj, f"{one.name.lower()}_total")) for one in _COUNTED]
        chips = format_html_join(
            " ",
            '<span class="tm-badge tm-tone-{}">{} {}</span>',
            ((tone_of(one), number, one.label.lower()) for one, number in parts if number),
        )
        return format_html("{} {}", f"{obj.task_total:,}", chips)

    @display(description=gettext_lazy("First submission"), ordering="first_submitted")
    def first_submission(self, obj: Any) -> SafeString:
        return when(obj.first_submitted)

    @display(description=gettext_lazy("Last submission"), ordering="last_submitted")
    def last_submission(self, obj: Any) -> SafeString:
        return when(obj.last_submitted)

    # --- actions -------------------------------------------------------------------------------

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions = super().get_actions(request)
        return actions | entry_actions(request, Workflow)

    @action(description=gettext_lazy("Export as YAML"))
    def export_chosen(self, request: HttpRequest, queryset: QuerySet) -> HttpResponse:
        ids = list(queryset.order_by("name", "pk").values_list("pk", flat=True)[:MOST_EXPORTED])
        return _as_file("workflows.yaml", export_workflows(ids, actor=request.user).values())

    @action(description=gettext_lazy("Import YAML …"), icon="upload_file", permissions=["develop"])
    def import_file(self, request: HttpRequest) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:workflows_workflow_import"))

    # --- pages ---------------------------------------------------------------------------------

    def import_page(self, request: HttpRequest) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        return import_view(self, request)

    def edit(self, request: HttpRequest, pk: int) -> HttpResponse:
        self.require_object(request, pk, Right.DEVELOP)
        return self.changeform_view(request, str(pk))

    def export(self, request: HttpRequest, pk: int) -> HttpResponse:
        workflow = self.require_object(request, pk)
        return _as_file(
            f"{workflow.name}.yaml", export_workflows([pk], actor=request.user).values()
        )

    def submit(self, request: HttpRequest, pk: int) -> HttpResponse:
        self.require_object(request, pk)
        if request.method == "POST":
            comment = request.POST.get("comment", "").strip()
            submit = partial(submit_tasks.on, WORKFLOWS)
            result = self.attempt(request, submit, ids=[pk], comment=comment)
            if result is not None:
                report(request, result, submit_tasks.done, TASKS.counted)
        return HttpResponseRedirect(self.url("change", pk))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        workflow = self.require_object(request, object_id)
        now = clock.now()
        tasks = list(workflow.tasks.select_related("workflow").defer("draft"))
        page = Paginator(tasks, TASKS_A_PAGE).get_page(request.GET.get("page"))
        versions = Prefetch("version", TaskVersion.objects.defer("definition"))
        shown = list(page)
        prefetch_related_objects(shown, versions, "resource_group")
        context = {
            "opts": self.opts,
            "original": workflow,
            "workflow": workflow,
            "zone": workflow.time_zone or workflow.project.time_zone,
            "page": page,
            "rows": [(task, status_at(task, now)) for task in shown],
            "graph": workflow_graph(request, tasks),
            "owners": list(workflow.owners.all()),
            "added_facts": facts_of(Workflow, workflow.pk),
            "may_develop": may(request, Right.DEVELOP, workflow.project_id),
            "buttons": [
                one
                for one in self.buttons(request, workflow.pk, workflow.project_id, None)
                if tasks and one["verb"] is not submit_tasks
            ],
            "entries": [
                (entry, entry.address(request, [workflow.pk]))
                for entry in entries_of(Workflow)
                if may(request, entry.right, workflow.project_id)
            ],
        }
        return self.page(request, "workflows/workflow.html", workflow.name, context, of=workflow)

    # --- saving --------------------------------------------------------------------------------

    def create(self, request: HttpRequest, form: Any) -> Workflow:
        values = form.values()
        owner_ids = values.pop("owner_ids") or None
        return create_workflow(
            actor=request.user,
            project_id=form.cleaned_data["project"].pk,
            owner_ids=owner_ids,
            **values,
        )

    def update(self, request: HttpRequest, obj: Any, form: Any) -> None:
        sources = {"folder": "folder_id", "owners": "owner_ids"}
        changed = {sources.get(name, name) for name in form.edited}
        values: Any = {name: value for name, value in form.values().items() if name in changed}
        if values:
            update_workflow(
                actor=request.user, workflow_id=obj.pk, changes=values, revision=form.based_on
            )

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        delete_draft_workflow(actor=request.user, workflow_id=obj.pk)

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        return HttpResponseRedirect(self.url("change", obj.pk))

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        return HttpResponseRedirect(self.url("change", obj.pk))


def _as_file(name: str, texts: Any) -> HttpResponse:
    response = HttpResponse("---\n".join(texts), content_type="application/yaml; charset=utf-8")
    safe = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in name)
    response["Content-Disposition"] = f'attachment; filename="{safe}"'
    return response
