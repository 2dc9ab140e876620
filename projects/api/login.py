"""Logging in and out with a token, and who one is (P4)."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import authenticate
from django.contrib.auth.models import AbstractUser, update_last_login
from drf_spectacular.utils import extend_schema
from knox.models import AuthToken
from rest_framework import serializers, status
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import ScopedRateThrottle
from rest_framework.views import APIView

from projects.access import projects_with
from projects.api.fields import Body, TextField
from projects.api.projects import ProjectAnswer, with_own_role
from projects.refusals import Invalid


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
    throttle_classes = [ScopedRateThrottle]
    throttle_scope = "login"

    def get_authenticate_header(self, request: Request) -> str:
        return "Token"  # so that a wrong password is 401 although no token is read here

    @extend_schema(request=Credentials, responses={201: TokenAnswer})
    def post(self, request: Request) -> Response:
        """Get a token for a user name and its password.

        The token is shown this once, stored as a hash, and expires.
        """
        credentials = Credentials(data=request.data)
        credentials.is_valid(raise_exception=True)
        user = authenticate(request, **credentials.validated_data)
        if user is None:
            raise AuthenticationFailed("The user name or the password is wrong.")
        token, text = AuthToken.objects.create(user=user)
        update_last_login(type(user), user)
        return Response({"token": text, "expiry": token.expiry}, status=status.HTTP_201_CREATED)


class LogoutView(APIView):
    """Log out."""

    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        """Delete the token that this call is made with."""
        if not isinstance(request.auth, AuthToken):
            raise Invalid("This call is not made with a token.", code="no_token")
        request.auth.delete()
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
