"""Resource groups with the slots in use: executions are known here, not in `projects`."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from unfold.decorators import display

from instances.models import Execution, Instance
from instances.models.instance import READY
from instances.states import LIVE
from projects.access import projects_with
from projects.admin.projects import project_choices
from projects.administration.resource_groups import (
    create_resource_group,
    delete_resource_group,
    update_resource_group,
)
from projects.console.rights import may_enter
from projects.console.scoped import ScopedAdmin
from projects.filters import ResourceGroupFilter
from projects.ground.showing import bar, when
from projects.ground.words import gettext_lazy, thousands
from projects.models import ResourceGroup

_SETTINGS = ("kind", "description", "slots", "log_retention_days")


class ResourceGroupForm(forms.ModelForm):
    """A resource group; its name is fixed, since workers and tasks use it."""

    class Meta:
        model = ResourceGroup
        fields = ("name", *_SETTINGS, "projects")


@admin.register(ResourceGroup)
class ResourceGroupAdmin(ScopedAdmin):
    """The groups that the user's projects may run on; superusers manage them."""

    project_path = None
    filterset = ResourceGroupFilter
    shown_filters = {"kind": gettext_lazy("Kind"), "project": gettext_lazy("Project")}
    filter_choices = {"project": project_choices}
    form = ResourceGroupForm
    list_display = ("name", "kind", "slots_used", "waiting", "queue", "retention", "created")

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        rows = super().get_queryset(request)
        if not request.user.is_superuser:
            mine = Q(projects__in=projects_with(request.user)) | Q(kind=ResourceGroup.Kind.SHARED)
            rows = rows.filter(pk__in=ResourceGroup.objects.filter(mine).values("pk"))
        return with_use(rows)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return may_enter(request) and request.user.is_superuser

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_enter(request) and request.user.is_superuser

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_enter(request) and request.user.is_superuser

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("name",) if obj else ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # Which other projects share a group is no member's business (P2).
        attached = ("projects",) if request.user.is_superuser else ()
        return ("name", *_SETTINGS, *attached)

    @display(description=gettext_lazy("Slots in use"), ordering="slots")
    def slots_used(self, obj: Any) -> SafeString:
        return slots_bar(obj.used, obj.slots)

    @display(description=gettext_lazy("Waiting for a slot"))
    def waiting(self, obj: Any) -> str:
        return thousands(obj.queued)

    @display(description=gettext_lazy("Queue"))
    def queue(self, obj: ResourceGroup) -> str:
        return obj.queue

    @display(description=gettext_lazy("Log retention"))
    def retention(self, obj: ResourceGroup) -> str:
        days = obj.log_retention_days
        return ngettext("{count} day", "{count} days", days).format(count=thousands(days))

    @display(description=gettext_lazy("Created"), ordering="created_at")
    def created(self, obj: ResourceGroup) -> SafeString:
        return when(obj.created_at)

    def create(self, request: HttpRequest, form: Any) -> ResourceGroup:
        data = form.cleaned_data
        return create_resource_group(
            actor=request.user,
            name=data["name"],
            values={name: data[name] for name in _SETTINGS},
            project_ids=[project.pk for project in data["projects"]],
        )

    def update(self, request: HttpRequest, obj: Any, form: Any) -> None:
        data = form.cleaned_data
        attached = None
        if "projects" in form.changed_data:
            attached = [project.pk for project in data["projects"]]
        update_resource_group(
            actor=request.user,
            group_id=obj.pk,
            values={name: data[name] for name in _SETTINGS if name in form.changed_data},
            project_ids=attached,
        )

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        delete_resource_group(actor=request.user, group_id=obj.pk)


def with_use(rows: QuerySet) -> QuerySet:
    """Annotate `used`, the slots that executions hold, and `queued`, those who want one."""
    live = Execution.objects.filter(state__in=[state.value for state in LIVE])
    ready = Instance.objects.filter(READY)
    return rows.annotate(
        used=_number(live),
        queued=_number(ready.filter(limited=False, sort_key__gte=0))
        + _number(ready.filter(limited=True)),
    )


def _number(rows: QuerySet) -> Coalesce:
    """How many of `rows` belong to the group; each count reads its own partial index."""
    own = rows.filter(resource_group=OuterRef("pk")).order_by().values("resource_group")
    return Coalesce(Subquery(own.annotate(number=Count("pk")).values("number")), 0)


def slots_bar(used: int, slots: int) -> SafeString:
    """Return a bar of the slots in use, with the numbers."""
    tone = "red" if used >= slots else "amber" if used >= 0.8 * slots else "green"
    title = _("{count} in use").format(count=used)
    return format_html(
        '<div class="tm-bar-row">{}<span class="tm-time">{} / {}</span></div>',
        bar([(tone, min(used, slots), title)], slots),
        thousands(used),
        thousands(slots),
    )
