"""Fields in the admin's forms: their widgets, and their values as texts and back.

A form checks nothing: whoever reads the value (`Field.read`) says what is wrong with it.
"""

from __future__ import annotations

import json
from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from projects.ground.fields.field import Field, Kind
from projects.ground.words import format_lazy, gettext_lazy, pgettext_lazy

_DIGITS = 18  # what certainly is a number that the field can judge


def text_field(label: str, help_text: str = "", placeholder: str = "") -> forms.CharField:
    """Return a field of one line."""
    return forms.CharField(
        required=False,
        label=label,
        help_text=help_text,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": placeholder}),
    )


def number_field(label: str, help_text: str = "", placeholder: object = "") -> forms.IntegerField:
    """Return a field of a whole number."""
    return forms.IntegerField(
        required=False,
        label=label,
        help_text=help_text,
        widget=UnfoldAdminIntegerFieldWidget(attrs={"placeholder": str(placeholder)}),
    )


def text_area(rows: int, placeholder: str = "") -> UnfoldAdminTextareaWidget:
    """Return a widget of several lines."""
    widget = UnfoldAdminTextareaWidget(
        attrs={"rows": rows, "spellcheck": "false", "placeholder": placeholder}
    )
    widget.attrs["class"] = f"{widget.attrs['class']} tm-code-input"
    return widget


def form_field(field: Field) -> forms.Field:
    """Return the form's field; left empty, it stands for the default."""
    default = "" if field.default is None else str(field.default)
    match field.kind:
        case Kind.INTEGER:
            return number_field(field.title, field.help, default)
        case Kind.BOOLEAN:
            words = {True: gettext_lazy("yes"), False: gettext_lazy("no")}
            yes_or_no = [("true", words[True]), ("false", words[False])]
            return _select(field, _default(words[bool(field.default)]), yes_or_no)
        case Kind.CHOICE:
            choices = [(str(one.value), one.label) for one in field.chosen_from]
            label = dict(choices).get(default, pgettext_lazy("choice", "none"))
            return _select(field, _default(label), choices)
        case Kind.LIST:
            help_text = format_lazy(gettext_lazy("{help} One on a line."), help=field.help)
            return _lines(field, help_text, 3)
        case Kind.TEXTS:
            help_text = gettext_lazy("{help} One on a line, as name: value.")
            return _lines(field, format_lazy(help_text, help=field.help), 3)
        case Kind.JSON:
            return _lines(field, field.help, 6)
        case _:
            return text_field(field.title, field.help)


def _default(label: str) -> str:
    return format_lazy(gettext_lazy("default ({label})"), label=label)


def _select(field: Field, empty: str, choices: list[tuple[str, str]]) -> forms.Field:
    return forms.ChoiceField(
        required=False,
        label=field.title,
        help_text=field.help,
        choices=[("", empty), *choices],
        widget=UnfoldAdminSelectWidget,
    )


def _lines(field: Field, help_text: str, rows: int) -> forms.Field:
    return forms.CharField(
        required=False, label=field.title, help_text=help_text, widget=text_area(rows)
    )


def to_text(field: Field, value: Any) -> Any:
    """Return what a form shows of a value, as JSON has it."""
    if value is None:
        return ""
    match field.kind:
        case Kind.LIST:
            items = value if isinstance(value, list) else [value]
            return "\n".join(map(str, items))
        case Kind.TEXTS:
            return "\n".join(f"{name}: {text}" for name, text in value.items())
        case Kind.JSON if not isinstance(value, str):
            return json.dumps(value, ensure_ascii=False, indent=2)
        case Kind.BOOLEAN:
            return "true" if value else "false"
        case _:
            return value


def from_text(field: Field, value: Any) -> Any:
    """Return what somebody wrote in a form as JSON has it; None for nothing.

    What cannot be read stays as it was written, for the field to refuse.
    """
    if value in (None, ""):
        return None
    match field.kind:
        case Kind.INTEGER if isinstance(value, str):
            return _number(value.strip())
        case Kind.LIST:
            lines = [line.strip() for line in value.splitlines() if line.strip()]
            return [_number(line) for line in lines] if field.numbers else lines
        case Kind.TEXTS:
            pairs = (line.partition(":") for line in value.splitlines() if line.strip())
            return {name.strip(): text.strip() for name, _, text in pairs}
        case Kind.JSON if value.lstrip().startswith(("{", "[")):
            try:
                return json.loads(value)
            except ValueError:
                return value  # a text that only looks like JSON
        case Kind.BOOLEAN:
            return value == "true"
        case _:
            return value


def _number(text: str) -> str | int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else text
