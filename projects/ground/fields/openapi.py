"""Fields in the OpenAPI document: the schema of each, and of an object of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from projects.ground.fields.field import Field, Kind
from projects.ground.fields.reader import MAX_ID

_ID = {"type": "integer", "minimum": 1, "maximum": MAX_ID}


def object_schema(fields: Iterable[Field], *, description: str = "") -> dict[str, Any]:
    """Return the schema of an object that has these fields and no others."""
    listed = tuple(fields)
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {field.name: field_schema(field) for field in listed},
        "additionalProperties": False,
    }
    if description:
        schema["description"] = description
    if required := [field.name for field in listed if field.required]:
        schema["required"] = required
    return schema


def field_schema(field: Field) -> dict[str, Any]:
    """Return the schema of a field: type, bounds, default, and what it means."""
    schema: dict[str, Any] = {"description": _description(field), **_type(field)}
    default = field.plain(field.default)
    if default is not None:
        schema["default"] = default
    elif not field.required:
        schema["nullable"] = True
    return schema


def _type(field: Field) -> dict[str, Any]:
    match field.kind:
        case Kind.INTEGER:
            return {"type": "integer", "minimum": field.minimum, "maximum": field.maximum}
        case Kind.NUMBER:
            return {"type": "number", "minimum": field.minimum, "maximum": field.maximum}
        case Kind.BOOLEAN:
            return {"type": "boolean"}
        case Kind.CHOICE:
            return {"type": "string", "enum": [str(one.value) for one in field.chosen_from]}
        case Kind.LIST:
            kinds = ("string", "integer") if field.numbers else ("string",)
            items = [_text(field) if kind == "string" else {"type": kind} for kind in kinds]
            item = items[0] if len(items) == 1 else {"oneOf": items}
            return {
                "oneOf": [{"type": "array", "items": item, "maxItems": field.max_items}, *items]
            }
        case Kind.TEXTS:
            return {
                "type": "object",
                "additionalProperties": {"type": "string", "maxLength": field.max_length},
                "maxProperties": field.max_items,
            }
        case Kind.JSON:
            return {"oneOf": [_text(field), {"type": "array", "items": {}}, {"type": "object"}]}
        case Kind.IDS:
            return {"type": "array", "items": _ID, "maxItems": field.max_items}
        case Kind.DATE:
            return {"type": "string", "format": "date"}
        case Kind.TIME:
            return {"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"}
        case Kind.OBJECT:
            return object_schema(field.fields)
        case Kind.OBJECTS:
            items_schema = object_schema(field.fields)
            return {
                "type": "array",
                "items": items_schema,
                "minItems": 1,
                "maxItems": field.max_items,
            }
        case _:
            return _text(field)


def _text(field: Field) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string", "maxLength": field.max_length}
    if field.required:
        schema["minLength"] = 1
    if field.pattern is not None:
        schema["pattern"] = f"^({field.pattern[0]})$"
    return schema


def _description(field: Field) -> str:
    parts = [str(field.help)]
    if field.kind is Kind.CHOICE:
        parts += [f"`{one.value}`: {one.help}" for one in field.chosen_from if one.help]
    if field.not_with:
        parts.append(f"May not stand beside `{field.not_with}`.")
    if field.only_with is not None:
        name, wanted = field.only_with
        parts.append(f"Only where `{name}` is {' or '.join(f'`{one}`' for one in wanted)}.")
    return " ".join(parts)
