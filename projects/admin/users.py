"""Users: superusers make them; what they may do in a project is their membership's to say."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldBooleanSwitchWidget

from projects.administration.users import save_user
from projects.console.scoped import record_url
from projects.ground.words import gettext_lazy

admin.site.unregister(User)
admin.site.unregister(Group)  # roles are per project: groups would say nothing


class NewUserForm(UserCreationForm):
    """A user to be made: who may log in here unless somebody says otherwise."""

    is_staff = forms.BooleanField(
        label=gettext_lazy("Staff status"),
        initial=True,
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text=gettext_lazy(
            "May log in to these pages. Without it the user can only call the API."
        ),
    )

    class Meta(UserCreationForm.Meta):
        fields = ("username", "is_staff")


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):
    """The people who may log in."""

    form = UserChangeForm
    add_form = NewUserForm
    change_password_form = AdminPasswordChangeForm
    compressed_fields = True
    list_fullwidth = True
    list_filter_submit = True
    list_display = (
        "username",
        "email",
        "first_name",
        "last_name",
        "is_staff",
        "is_superuser",
        "is_active",
        "last_login",
    )
    list_filter = ("is_staff", "is_superuser", "is_active")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        (gettext_lazy("Person"), {"fields": ("first_name", "last_name", "email")}),
        (
            gettext_lazy("Access"),
            {
                "fields": ("is_active", "is_staff", "is_superuser"),
                "description": gettext_lazy(
                    "Staff may use these pages, with the rights of their roles in their projects. "
                    "Superusers have every right everywhere."
                ),
            },
        ),
        (gettext_lazy("Dates"), {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = (
        (None, {"fields": ("username", "usable_password", "password1", "password2", "is_staff")}),
    )
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        save_user(
            actor=request.user, user=obj, changed=form.changed_data if change else form.cleaned_data
        )

    @transaction.atomic  # a password and the end of its tokens
    def user_change_password(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return super().user_change_password(request, *args, **kwargs)

    # The operation record is the only record there is.

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return None

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return None

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: Any = None
    ) -> HttpResponse:
        """Lead to the operation record of the user."""
        return HttpResponseRedirect(record_url("user", object_id))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return _runs_everything(request)

    def has_view_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return _runs_everything(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _runs_everything(request)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return _runs_everything(request)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False  # the operation record names users for good: make them inactive instead


def _runs_everything(request: HttpRequest) -> bool:
    return bool(request.user.is_active and request.user.is_superuser)
