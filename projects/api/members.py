"""Members over the API."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from projects.administration.members import add_member, change_role, remove_member
from projects.filters import MemberFilter
from projects.models import Member, Project
from projects.rest.fields import Body, ChoiceField, TextField, VisibleField
from projects.rest.idempotency import KEY_PARAMETER, idempotent
from projects.rest.scoped import ListRead
from projects.roles import Role


class MemberAnswer(serializers.ModelSerializer):
    """A user's role in a project."""

    user = serializers.CharField(source="user.username", help_text="The user name.")

    class Meta:
        model = Member
        fields = ["id", "project", "user", "role", "created_at"]


class NewMember(Body):
    """A user to be made a member."""

    project = VisibleField(Project, path="")
    user = TextField(max_length=150, help_text="The user name.")
    role = ChoiceField(Role.choices)


class MemberChanges(Body):
    """What may change of a member."""

    role = ChoiceField(Role.choices)


class MemberViewSet(ListRead):
    """The members of the user's projects."""

    noun, nouns = "member", "members"
    queryset = Member.objects.select_related("user")
    serializer_class = MemberAnswer
    filterset_class = MemberFilter
    ordering_fields = {"id": ("id",), "user": ("user__username",), "role": ("role",)}
    ordering = "id"

    @extend_schema(request=NewMember, responses={201: MemberAnswer}, parameters=[KEY_PARAMETER])
    @idempotent
    def create(self, request: Request) -> Response:
        """Make a user a member of a project."""
        body = self.body(NewMember)
        member = add_member(
            actor=request.user,
            project_id=body["project"],
            username=body["user"],
            role=body["role"],
        )
        return self.answer(member, status=status.HTTP_201_CREATED)

    @extend_schema(request=MemberChanges, responses=MemberAnswer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a member's role."""
        role = self.body(MemberChanges)["role"]
        return self.answer(change_role(actor=request.user, member_id=self.pk, role=role))

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Take a member out of the project."""
        remove_member(actor=request.user, member_id=self.pk)
        return Response(status=status.HTTP_204_NO_CONTENT)
