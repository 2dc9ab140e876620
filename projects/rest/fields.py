"""The fields of request bodies: they take the JSON type that they say, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import Model
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.fields import empty

from projects.access import scope
from projects.ground.words import gettext_lazy

MAX_ID = 2**63 - 1


class TextField(serializers.CharField):
    """A JSON string, kept as it was sent."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("trim_whitespace", False)
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class NumberField(serializers.IntegerField):
    """A JSON integer."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return data


class IdField(NumberField):
    """The id of an object."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=1, max_value=MAX_ID, **kwargs)


class IdsField(serializers.ListField):
    """A JSON list of ids, of any length that a request has."""

    child = IdField()

    def run_child_validation(self, data: list[Any]) -> list[Any]:
        if all(type(one) is int and 1 <= one <= MAX_ID for one in data):
            return data  # as there may be hundreds of thousands
        return super().run_child_validation(data)


class VisibleField(IdField):
    """The id of a row that the user sees; others are an error here, whether they exist or not."""

    default_error_messages = {
        "not_visible": gettext_lazy("There is no {noun} {pk} in your projects.")
    }

    def __init__(self, model: type[Model], *, path: str = "project", **kwargs: Any) -> None:
        self.model, self.path = model, path
        super().__init__(**kwargs)

    def run_validation(self, data: Any = empty) -> Any:
        pk = super().run_validation(data)
        if not isinstance(pk, int):
            return pk
        rows = self.model._default_manager.filter(pk=pk)
        if not scope(rows, self.context["request"].user, path=self.path).exists():
            self.fail("not_visible", noun=self.model._meta.verbose_name, pk=pk)
        return pk


class FlagField(serializers.BooleanField):
    """A JSON boolean."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class ChoiceField(serializers.ChoiceField):
    """A JSON string out of a list."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str | int) or isinstance(data, bool):
            self.fail("invalid_choice", input=data)
        return super().to_internal_value(data)


class ObjectField(serializers.Field):
    """A JSON object."""

    default_error_messages = {"invalid": gettext_lazy("Must be an object with named fields.")}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            self.fail("invalid")
        return data

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_field(OpenApiTypes.OBJECT)
class MappingField(ObjectField):
    """A JSON object whose insides the verb checks."""


# Names a part of a schema in the document, and returns the reference to it.
Refer = Callable[[str, dict[str, Any]], dict[str, Any]]


class DeclaredField(ObjectField):
    """A JSON object whose insides are declared as fields, and described by them."""

    def schema(self, refer: Refer) -> dict[str, Any]:
        """Return its OpenAPI schema."""
        raise NotImplementedError


class Body(serializers.Serializer):
    """A request body; a field that it does not have is an error at that field."""

    def to_internal_value(self, data: Any) -> Any:
        unknown = {}
        if isinstance(data, dict):
            known = {name for name, field in self.fields.items() if not field.read_only}
            unknown = {key: [_("There is no such field.")] for key in data if key not in known}
        try:
            values = super().to_internal_value(data)
        except serializers.ValidationError as error:
            if unknown and isinstance(error.detail, dict):
                raise serializers.ValidationError({**error.detail, **unknown}) from error
            raise
        if unknown:
            raise serializers.ValidationError(unknown)
        return values
