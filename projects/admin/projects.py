"""Projects and their members."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import pgettext
from unfold.admin import TabularInline
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from projects.access import projects_with
from projects.administration.members import add_member, change_role, remove_member
from projects.administration.projects import create_project, may_create_projects, update_project
from projects.console.rights import may, may_enter
from projects.console.scoped import ScopedAdmin
from projects.filters import ProjectFilter
from projects.ground.showing import when
from projects.ground.words import gettext_lazy
from projects.models import Member, Project
from projects.roles import Right


class HostsField(forms.CharField):
    """A list of hosts, one on a line."""

    widget = UnfoldAdminTextareaWidget(attrs={"rows": 4})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(map(str, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        return [line.strip() for line in str(value or "").splitlines() if line.strip()]

    def validate(self, value: Any) -> None:
        """The verb says what a host is."""


class ProjectForm(forms.ModelForm):
    """A project's settings."""

    allowed_hosts = HostsField(
        required=False,
        label=gettext_lazy("Allowed hosts"),
        help_text=gettext_lazy(
            "Hosts that http tasks may call, one on a line: api.example.com, *.example.org."
        ),
    )

    description = forms.CharField(
        required=False,
        label=gettext_lazy("Description"),
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )

    class Meta:
        model = Project
        fields = (
            "name",
            "description",
            "time_zone",
            "periodic_retention_days",
            "backfill_retention_days",
            "allowed_hosts",
        )


class MemberForm(forms.ModelForm):
    """One member; the user is named once, the role may change."""

    user = forms.CharField(
        label=gettext_lazy("User name"), max_length=150, widget=UnfoldAdminTextInputWidget
    )

    class Meta:
        model = Member
        fields = ("user", "role")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["user"] = self.instance.user.get_username()
            self.fields["user"].disabled = True

    def clean_user(self) -> Any:
        if self.instance.pk:
            return self.instance.user
        name = self.cleaned_data["user"]
        user = get_user_model().objects.filter(username=name, is_active=True).first()
        if user is None:
            problem = _("There is no active user “{name}”.").format(name=name)
            raise forms.ValidationError(problem)
        return user


class MemberInline(TabularInline):
    """The members of a project, on its page."""

    model = Member
    form = MemberForm
    extra = 0
    tab = True
    show_count = True

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).select_related("user", "project")

    def get_count(self, request: HttpRequest, obj: Project) -> int | None:
        return obj.members.count() if obj else None

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_enter(request)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is not None and may(request, Right.ADMINISTER, obj.pk)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is not None and may(request, Right.ADMINISTER, obj.pk)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is not None and may(request, Right.ADMINISTER, obj.pk)


@admin.register(Project)
class ProjectAdmin(ScopedAdmin):
    """The user's projects."""

    project_path = ""
    change_right = Right.ADMINISTER
    filterset = ProjectFilter
    form = ProjectForm
    inlines = (MemberInline,)
    list_display = ("name", "description", "time_zone", "member_count", "created")
    fieldsets = (
        (None, {"fields": ("name", "description", "time_zone")}),
        (
            gettext_lazy("Rules"),
            {"fields": ("periodic_retention_days", "backfill_retention_days", "allowed_hosts")},
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).annotate(members_in_all=Count("members"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return may_enter(request) and may_create_projects(request.user)

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return self.inlines if obj else ()

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        found = super().get_fieldsets(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return found
        # Who may only read sees the hosts as the form has them, not as they are stored.
        shown = {"allowed_hosts": "hosts"}
        return [
            (title, {**options, "fields": [shown.get(name, name) for name in options["fields"]]})
            for title, options in found
        ]

    @display(description=gettext_lazy("Allowed hosts"))
    def hosts(self, obj: Project) -> str:
        return "\n".join(obj.allowed_hosts) or pgettext("hosts", "none")

    @display(description=gettext_lazy("Members"), ordering="members_in_all")
    def member_count(self, obj: Any) -> int:
        return obj.members_in_all

    @display(description=gettext_lazy("Created"), ordering="created_at")
    def created(self, obj: Project) -> SafeString:
        return when(obj.created_at)

    def create(self, request: HttpRequest, form: Any) -> Project:
        return create_project(actor=request.user, values=form.cleaned_data)

    def update(self, request: HttpRequest, obj: Any, form: Any) -> None:
        if changed := {name: form.cleaned_data[name] for name in form.changed_data}:
            update_project(actor=request.user, project_id=obj.pk, values=changed)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """Add, change and remove members, each by its verb; additions first."""
        actor = request.user
        formset.save(commit=False)
        for member in formset.new_objects:
            username = member.user.get_username()
            add_member(
                actor=actor, project_id=form.instance.pk, username=username, role=member.role
            )
        for member, _fields in formset.changed_objects:
            change_role(actor=actor, member_id=member.pk, role=member.role)
        for member in formset.deleted_objects:
            remove_member(actor=actor, member_id=member.pk)


def project_choices(request: HttpRequest) -> list[tuple[int, str]]:
    """Return the user's projects, as the choices of a filter."""
    return list(projects_with(request.user).order_by("name").values_list("pk", "name")[:300])
