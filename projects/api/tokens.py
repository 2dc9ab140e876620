"""The API's tokens: everybody lists and revokes their own, superusers all (P4)."""

from __future__ import annotations

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from knox.models import AuthToken
from rest_framework import serializers, status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from projects.administration.users import revoke_tokens, tokens_of
from projects.rest.scoped import ListRead

_ID = OpenApiParameter("id", str, OpenApiParameter.PATH)


class TokenRow(serializers.ModelSerializer):
    """A token that has not expired; the token itself is shown to nobody."""

    id = serializers.CharField(source="name")
    user = serializers.CharField(source="user.username", help_text="The user name.")

    class Meta:
        model = AuthToken
        fields = ["id", "user", "created", "expiry"]


@extend_schema_view(
    retrieve=extend_schema(parameters=[_ID]), destroy=extend_schema(parameters=[_ID])
)
class TokenViewSet(ListRead):
    """The user's tokens, for superusers everybody's."""

    noun, nouns = "token", "tokens"
    queryset = AuthToken.objects.all()
    serializer_class = TokenRow
    ordering_fields = {"created": ("created", "pk"), "user": ("user__username", "pk")}
    ordering = "-created"
    lookup_url_kwarg = "id"
    lookup_value_regex = r"[0-9a-f]{16}"

    def of_the_user(self, rows: QuerySet[AuthToken]) -> QuerySet[AuthToken]:
        return tokens_of(self.request.user)

    def find(self, rows: QuerySet[AuthToken]) -> AuthToken:
        token = rows.filter(name=self.kwargs["id"]).first()
        if token is None:
            raise NotFound(_("There is no such token among yours."))
        return token

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, id: str) -> Response:
        """Revoke a token: it opens nothing from now on."""
        revoke_tokens(actor=request.user, names=[id])
        return Response(status=status.HTTP_204_NO_CONTENT)
