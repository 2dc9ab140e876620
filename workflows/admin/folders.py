"""Folders: made, renamed, moved, deleted; the paths below follow."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget

from projects.access import projects_with, scope
from projects.admin.projects import project_choices
from projects.console.scoped import ScopedAdmin
from projects.ground.showing import link
from projects.ground.words import gettext_lazy
from projects.models import Project
from projects.roles import Right
from workflows.admin.revised import RevisedForm
from workflows.editing.folders import (
    FolderChanges,
    create_folder,
    delete_folder,
    update_folder,
)
from workflows.filters import FolderFilter
from workflows.models import Folder


class FolderForm(RevisedForm):
    """A folder: where it is, and its name."""

    project = forms.ModelChoiceField(
        Project.objects.none(), label=gettext_lazy("Project"), widget=UnfoldAdminSelectWidget
    )
    parent = forms.ModelChoiceField(
        Folder.objects.none(),
        required=False,
        label=gettext_lazy("Parent"),
        empty_label=gettext_lazy("(the project's root)"),
        widget=UnfoldAdminSelectWidget,
    )

    class Meta:
        model = Folder
        fields = ("project", "parent", "name")

    request: HttpRequest

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fields: dict[str, Any] = self.fields
        folders = scope(Folder.objects.all(), self.request.user, Right.DEVELOP)
        if self.instance.pk:
            folders = folders.filter(project=self.instance.project_id)
            own = Project.objects.filter(pk=self.instance.project_id)
            fields["project"].queryset = own
            fields["project"].disabled = True
        else:
            fields["project"].queryset = projects_with(self.request.user, Right.DEVELOP)
        field = fields["parent"]
        field.label_from_instance = _labelled
        field.queryset = folders.select_related("project").order_by("project__name", "path")

    def _post_clean(self) -> None:
        """The verbs check names and places."""


def _labelled(folder: Folder) -> str:
    return f"{folder.project.name}: {folder.path}"


@admin.register(Folder)
class FolderAdmin(ScopedAdmin):
    """The folders of the user's projects, by path."""

    add_right = change_right = delete_right = Right.DEVELOP
    filterset = FolderFilter
    shown_filters = {"project": gettext_lazy("Project")}
    filter_choices = {"project": project_choices}
    form = FolderForm
    fields = ("project", "parent", "name")
    list_display = ("path", "project", "workflow_number")
    list_select_related = ("project",)
    ordering = ("project__name", "path")

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).annotate(workflow_total=Count("workflows"))

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm]:
        form = super().get_form(request, obj, change=change, **kwargs)
        return type(form.__name__, (form,), {"request": request})

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ()

    @display(description=gettext_lazy("Workflows"), ordering="workflow_total")
    def workflow_number(self, obj: Any) -> SafeString:
        url = f"{reverse('admin:workflows_workflow_changelist')}?folder={obj.pk}"
        return link(url, f"{obj.workflow_total:,}")

    def create(self, request: HttpRequest, form: Any) -> Folder:
        parent = form.cleaned_data["parent"]
        return create_folder(
            actor=request.user,
            project_id=form.cleaned_data["project"].pk,
            name=form.cleaned_data["name"],
            parent_id=parent.pk if parent else None,
        )

    def update(self, request: HttpRequest, obj: Any, form: Any) -> None:
        changes = FolderChanges()
        if "name" in form.edited:
            changes["name"] = form.cleaned_data["name"]
        if "parent" in form.edited:
            parent = form.cleaned_data["parent"]
            changes["parent_id"] = parent.pk if parent else None
        update_folder(actor=request.user, folder_id=obj.pk, changes=changes, revision=form.based_on)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        delete_folder(actor=request.user, folder_id=obj.pk)
