"""The API's tokens: everybody sees and revokes their own, superusers all (P4)."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.safestring import SafeString
from django.utils.translation import ngettext
from knox import admin as knox_admin  # noqa: F401  # registers what we take out
from knox.models import AuthToken
from unfold.decorators import action, display

from projects.administration.users import revoke_tokens, tokens_of
from projects.console.rights import may_enter
from projects.console.scoped import ReadOnlyAdmin
from projects.ground.showing import when
from projects.ground.words import gettext_lazy, thousands

admin.site.unregister(AuthToken)


@admin.register(AuthToken)
class TokenAdmin(ReadOnlyAdmin):
    """Tokens that have not expired. They are made by logging in to the API."""

    project_path = None
    list_display = ("name", "whose", "made", "expires")
    list_display_links = None
    list_select_related = ("user",)
    ordering = ("user__username", "-created")
    actions = ("revoke",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuthToken]:
        return tokens_of(request.user).order_by(*self.ordering)

    def has_revoke_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_enter(request)

    @display(description=gettext_lazy("Token"))
    def name(self, obj: Any) -> str:
        return obj.name

    @display(description=gettext_lazy("User"), ordering="user__username")
    def whose(self, obj: AuthToken) -> str:
        return obj.user.get_username()

    @display(description=gettext_lazy("Made"), ordering="created")
    def made(self, obj: AuthToken) -> SafeString:
        return when(obj.created)

    @display(description=gettext_lazy("Ends"), ordering="expiry")
    def expires(self, obj: AuthToken) -> SafeString:
        return when(obj.expiry)

    @action(description=gettext_lazy("Revoke"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, chosen: QuerySet[AuthToken]) -> None:
        """End the chosen tokens at once."""
        names = [token.name for token in chosen]
        if (ended := self.attempt(request, revoke_tokens, names=names)) is not None:
            said = ngettext("{count} token revoked.", "{count} tokens revoked.", ended)
            self.message_user(request, said.format(count=thousands(ended)))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Lead to the list: a token has nothing more to show."""
        return HttpResponseRedirect(self.url("changelist"))
