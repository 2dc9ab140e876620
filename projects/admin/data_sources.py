"""Data sources: their passwords are written here and shown nowhere (P5)."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import pgettext
from unfold.decorators import display
from unfold.widgets import UnfoldAdminPasswordWidget

from projects.admin.projects import project_choices
from projects.administration.data_sources import (
    create_data_source,
    delete_data_source,
    update_data_source,
)
from projects.console.scoped import ScopedAdmin
from projects.filters import DataSourceFilter
from projects.ground.showing import when
from projects.ground.words import gettext_lazy
from projects.models import DataSource
from projects.roles import Right


class DataSourceForm(forms.ModelForm):
    """A data source; an empty password leaves the one there is."""

    password = forms.CharField(
        required=False,
        label=gettext_lazy("Password"),
        strip=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text=gettext_lazy(
            "Written only, never shown. Leave it empty to keep the one that is stored."
        ),
    )

    class Meta:
        model = DataSource
        fields = ("project", "name", "url", "description")


@admin.register(DataSource)
class DataSourceAdmin(ScopedAdmin):
    """The data sources of the user's projects."""

    add_right = change_right = delete_right = Right.ADMINISTER
    filterset = DataSourceFilter
    shown_filters = {"project": gettext_lazy("Project")}
    filter_choices = {"project": project_choices}
    form = DataSourceForm
    fields = ("project", "name", "url", "password", "description")
    list_display = ("name", "project", "url", "password_state", "created")
    list_select_related = ("project",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("project",) if obj else ()

    @display(description=gettext_lazy("Password"))
    def password_state(self, obj: DataSource) -> str:
        return _("stored") if obj.password else pgettext("password", "none")

    @display(description=gettext_lazy("Created"), ordering="created_at")
    def created(self, obj: DataSource) -> SafeString:
        return when(obj.created_at)

    def create(self, request: HttpRequest, form: Any) -> DataSource:
        values = {name: form.cleaned_data[name] for name in ("name", "url", "description")}
        if form.cleaned_data["password"]:
            values["password"] = form.cleaned_data["password"]
        return create_data_source(
            actor=request.user, project_id=form.cleaned_data["project"].pk, values=values
        )

    def update(self, request: HttpRequest, obj: Any, form: Any) -> None:
        changed = {name: form.cleaned_data[name] for name in form.changed_data}
        if not changed.get("password"):
            changed.pop("password", None)
        update_data_source(actor=request.user, data_source_id=obj.pk, values=changed)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        delete_data_source(actor=request.user, data_source_id=obj.pk)
