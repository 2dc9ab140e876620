"""Users: superusers make them; what they may do in a project is their membership's to say."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

admin.site.unregister(User)
admin.site.unregister(Group)  # roles are per project: groups would say nothing


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):
    """The people who may log in."""

    form = UserChangeForm
    add_form = UserCreationForm
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
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        (
            "Access",
            {
                "fields": ("is_active", "is_staff", "is_superuser"),
                "description": "Staff may use these pages, with the rights of their roles in "
                "their projects. Superusers have every right everywhere.",
            },
        ),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")

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
