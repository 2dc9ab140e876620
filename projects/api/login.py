"""Logging in and out with a token, and who one is (P4)."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import authenticate
from django.contrib.auth.models import AbstractUser, User
from django.contrib.auth.signals import user_logged_in
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from knox.models import AuthToken
from rest_framework import serializers, status
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from projects.access import projects_with
from projects.administration.logins import LoginThrottle
from projects.administration.users import NAME_LENGTH, make_token, revoke_tokens
from projects.api.projects import ProjectAnswer, with_own_role
from projects.ground.refusals import Invalid
from projects.rest.fields import Body, TextField


class Credentials(Body):
    """A user name and its password."""

    username = TextField(max_length=150)
    password = TextField(max_length=1000)


class TokenAnswer(serializers.Serializer):
    """A new token. This is the only time that it is shown."""

    token = serializers.CharField(help_text="Send it as `Authorization: Token <token>`.")
    expiry = serializers.DateTimeField()


class MeAnswer(serializers.Serializer):
    """The user, and what they may do where."""

    id = serializers.IntegerField()
    username = serializers.CharField()
    email = serializers.CharField()
    is_staff = serializers.BooleanField()
    is_superuser = serializers.BooleanField()
    projects = ProjectAnswer(many=True)


class TokenView(APIView):
    """Log in."""

    authentication_classes: list[Any] = []
    permission_classes = [AllowAny]
    throttle_classes = [LoginThrottle]

    def get_authenticate_header(self, request: Request) -> str:
        return "Token"  # so that a wrong password is 401 although no token is read here

    @extend_schema(request=Credentials, responses={201: TokenAnswer})
    def post(self, request: Request) -> Response:
        """Get a token for a user name and its password.

        The token is shown this once, stored as a hash, and expires.
        """
        credentials = Credentials(data=request.data)
        credentials.is_valid(raise_exception=True)
        user = authenticate(request._request, **credentials.validated_data)
        if user is None:
            raise AuthenticationFailed(_("The user name or the password is wrong."))
        assert isinstance(user, User)
        user_logged_in.send(sender=type(user), request=request._request, user=user)
        token, text = make_token(user)
        return Response({"token": text, "expiry": token.expiry}, status=status.HTTP_201_CREATED)


class LogoutView(APIView):
    """Log out."""

    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        """Delete the token that this call is made with."""
        if not isinstance(request.auth, AuthToken):
            raise Invalid(_("This call is not made with a token."), code="no_token")
        revoke_tokens(actor=request.user, names=[request.auth.digest[:NAME_LENGTH]])
        return Response(status=status.HTTP_204_NO_CONTENT)


class MeView(APIView):
    """The user."""

    @extend_schema(responses=MeAnswer)
    def get(self, request: Request) -> Response:
        """Read who you are and what you may do in which project."""
        user = request.user
        assert isinstance(user, AbstractUser)  # others were refused
        projects = with_own_role(projects_with(user).order_by("name"), user)
        answer = {
            "id": user.pk,
            "username": user.get_username(),
            "email": user.email,
            "is_staff": user.is_staff,
            "is_superuser": user.is_superuser,
            "projects": projects,
        }
        return Response(MeAnswer(answer, context={"request": request}).data)
