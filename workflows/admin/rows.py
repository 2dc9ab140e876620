"""Form fields of several rows: parameters, and dependencies with how they are meant (T12, T13)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from workflows.choices import OFFSET_CHOICES, SCOPE_CHOICES


class RowsWidget(forms.Widget):
    """Rows of inputs that people add and take away; an empty row counts for nothing.

    The inputs of a row are named <field>__<part>; their values come as parallel lists.
    """

    parts: Sequence[str] = ()

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[dict[str, str]]:
        columns = [data.getlist(f"{name}__{part}") for part in self.parts]
        rows = [dict(zip(self.parts, row, strict=True)) for row in zip(*columns, strict=False)]
        return [row for row in rows if row[self.parts[0]].strip() or row[self.parts[1]].strip()]

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return False

    def _render(self, template_name: str, context: Any, renderer: Any = None) -> SafeString:
        # The renderer of forms knows the templates of apps only, not those of the project.
        return render_to_string(template_name, context)

    def format_value(self, value: Any) -> Any:
        return value or []

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        context["widget"]["rows_json"] = json.dumps(self.format_value(value))
        return context


class ParametersWidget(RowsWidget):
    """Names and expressions."""

    template_name = "workflows/widgets/parameters.html"
    parts = ("name", "value")


class DependenciesWidget(RowsWidget):
    """Upstream tasks by name, which cycle of theirs, and which of their instances."""

    template_name = "workflows/widgets/dependencies.html"
    parts = ("task", "offset", "scope")
    suggestions: Sequence[str] = ()

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[dict[str, str]]:
        rows = super().value_from_datadict(data, files, name)
        return [row for row in rows if row["task"].strip()]

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        context["widget"] |= {
            "suggestions": self.suggestions,
            "offsets": OFFSET_CHOICES,
            "scopes": SCOPE_CHOICES,
        }
        return context


class ParametersField(forms.Field):
    """{name: expression}; what a name or expression may be is the definition's to say."""

    widget = ParametersWidget

    def prepare_value(self, value: Any) -> list[dict[str, str]]:
        if isinstance(value, Mapping):
            return [{"name": name, "value": text} for name, text in value.items()]
        return value or []

    def clean(self, value: Any) -> dict[str, str]:
        found: dict[str, str] = {}
        for row in value or []:
            name = row["name"].strip()
            if not name:
                message = _("The value “{value}” has no name.")
                raise forms.ValidationError(message.format(value=row["value"]))
            if name in found:
                raise forms.ValidationError(_("“{name}” is given twice.").format(name=name))
            found[name] = row["value"]
        return found


class DependenciesField(forms.Field):
    """The `depends_on` of a definition."""

    widget = DependenciesWidget

    def prepare_value(self, value: Any) -> list[dict[str, str]]:
        return [
            {"task": "", "offset": "same", "scope": "default"}
            | (item if isinstance(item, dict) else {"task": item})
            for item in value or []
        ]

    def clean(self, value: Any) -> list[dict[str, str]]:
        return [
            {
                "task": row["task"].strip(),
                "offset": row["offset"] or "same",
                "scope": row["scope"] or "default",
            }
            for row in value or []
        ]
