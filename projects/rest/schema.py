"""How the OpenAPI document is made: a summary and the error answers for every operation (P4)."""

from __future__ import annotations

from typing import Any

from django.utils import translation
from drf_spectacular.extensions import (
    OpenApiAuthenticationExtension,
    OpenApiSerializerFieldExtension,
)
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent, build_bearer_security_scheme_object
from rest_framework import permissions, serializers


class ErrorAnswer(serializers.Serializer):
    """What every refusal looks like."""

    code = serializers.CharField(help_text="For machines, such as `invalid` or `not_found`.")
    detail = serializers.CharField(help_text="For people.")
    fields = serializers.DictField(  # type: ignore[assignment]
        child=serializers.ListField(child=serializers.CharField()),
        help_text="Messages by field path, such as `definition.schedule.at`; often empty.",
    )


class KnoxScheme(OpenApiAuthenticationExtension):
    """`Authorization: Token …`."""

    target_class = "projects.rest.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> Any:
        return build_bearer_security_scheme_object(
            header_name="Authorization", token_prefix="Token"
        )


class DeclaredFieldExtension(OpenApiSerializerFieldExtension):
    """Describes objects whose insides are declared as fields, each under its own name."""

    target_class = "projects.rest.fields.DeclaredField"
    match_subclasses = True

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> Any:
        def refer(name: str, schema: dict[str, Any]) -> dict[str, Any]:
            component = ResolvedComponent(
                name=name, type=ResolvedComponent.SCHEMA, schema=schema, object=name
            )
            auto_schema.registry.register_on_missing(component)
            return dict(component.ref)

        return self.target.schema(refer)


class Generator(SchemaGenerator):
    """Writes the document in English, whoever asks for it and in whatever language."""

    def get_schema(self, *args: Any, **kwargs: Any) -> Any:
        with translation.override("en"):
            return super().get_schema(*args, **kwargs)


class Schema(AutoSchema):
    """Takes the summary of an operation from its docstring's first line."""

    def get_summary(self) -> str | None:
        return self._docstring().partition("\n")[0].rstrip(".") or None

    def get_description(self) -> str:  # type: ignore[override]
        return self._docstring().partition("\n")[2].strip()

    def _docstring(self) -> str:
        method = getattr(self.view, getattr(self.view, "action", None) or self.method.lower(), None)
        text = (getattr(method, "__doc__", None) or "").strip()
        lines = [line.strip() for line in text.splitlines()]
        return "\n".join(lines).format(
            one=getattr(self.view, "noun", ""), many=getattr(self.view, "nouns", "")
        )

    def _get_response_bodies(self, direction: Any = "response") -> Any:
        bodies = super()._get_response_bodies(direction)
        for status in self._error_statuses():
            if status not in bodies:
                bodies[status] = self._get_response_for_code(
                    ErrorAnswer, status, direction=direction
                )
        return bodies

    def _error_statuses(self) -> list[str]:
        public = any(isinstance(one, permissions.AllowAny) for one in self.view.get_permissions())
        statuses = ["400", "429"]
        if not public or self.method != "GET":
            statuses.append("401")
        if not public and self.method != "GET":
            statuses += ["403", "409"]
        if "{" in self.path or (not public and self.method == "POST"):
            statuses.append("404")
        return sorted(statuses)
