"""The form of a draft: from a definition's mapping to fields and back (T9–T13).

The form checks nothing that the definition checks: the verb reads the mapping, and what it refuses
comes back to the field of its path.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib.auth import get_user_model
from django.db.models import Q
from django.http import HttpRequest
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from projects.access import projects_with, scope
from projects.roles import Right
from workflows.admin.choices import groups_for
from workflows.admin.rows import DependenciesField, ParametersField
from workflows.choices import CYCLE_CHOICES, CatchUp, Priority
from workflows.definition import DEFAULT_GROUP, DEFAULT_TIMEOUT, Retries
from workflows.models import Task, Workflow
from workflows.owners import possible_owners
from workflows.task_types import ConfigField, FieldKind, task_types

MOST_SUGGESTIONS = 2_000
_WEEKDAYS = [
    (str(number), name)
    for number, name in enumerate(("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"), 1)
]
# The keys of a schedule and the cycles that have them; see workflows.schedules.reading.
_SCHEDULE_CYCLES = {
    "every": ("minute", "hour"),
    "from": ("minute", "hour"),
    "until": ("minute", "hour"),
    "hours": ("hour",),
    "minute": ("hour",),
    "at": ("day", "week", "month", "year", "one_time"),
    "weekdays": ("week",),
    "days": ("month",),
    "dates": ("year",),
    "expression": ("crontab",),
}
_DEFAULT_RETRIES = Retries()


def _text(label: str, help_text: str = "", placeholder: str = "") -> forms.CharField:
    return forms.CharField(
        required=False,
        label=label,
        help_text=help_text,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": placeholder}),
    )


def _number(label: str, help_text: str = "", placeholder: object = "") -> forms.IntegerField:
    return forms.IntegerField(
        required=False,
        label=label,
        help_text=help_text,
        widget=UnfoldAdminIntegerFieldWidget(attrs={"placeholder": str(placeholder)}),
    )


def _area(rows: int, placeholder: str = "") -> UnfoldAdminTextareaWidget:
    widget = UnfoldAdminTextareaWidget(
        attrs={"rows": rows, "spellcheck": "false", "placeholder": placeholder}
    )
    widget.attrs["class"] = f"{widget.attrs['class']} tm-code-input"
    return widget


class BaseTaskForm(forms.ModelForm):
    """A task's name and draft; the settings of each type are added by `_with_config`."""

    workflow = forms.ModelChoiceField(
        Workflow.objects.none(), required=False, widget=UnfoldAdminSelectWidget
    )
    owners = forms.ModelMultipleChoiceField(
        get_user_model().objects.none(),
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )
    type = forms.ChoiceField(widget=UnfoldAdminSelectWidget)
    description = forms.CharField(
        required=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 2})
    )
    code = forms.CharField(
        required=False,
        strip=False,
        widget=_area(18),
        help_text="${name} stands for a parameter; anything else is left alone.",
    )

    schedule_cycle = forms.ChoiceField(
        label="Cycle", choices=CYCLE_CHOICES, widget=UnfoldAdminSelectWidget, initial="day"
    )
    schedule_every = _number("Every", "Minutes (1–59) or hours (1–23).", "1")
    schedule_from = _text("From", "Time of day.", "00:00")
    schedule_until = _text("Until", "Time of day.", "23:59")
    schedule_hours = _text("or at hours", "Instead of “every”: 0, 6, 12, 18.")
    schedule_minute = _number("at minute", "Of the listed hours.", "0")
    schedule_at = _text(
        "At", "Time of day; for one time the day as well: 2026-01-31 05:00.", "00:00"
    )
    schedule_weekdays = forms.MultipleChoiceField(
        required=False,
        label="Weekdays",
        choices=_WEEKDAYS,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )
    schedule_days = _text("Days of the month", "1, 15, last", "1")
    schedule_dates = _text("Dates of the year", "Month and day: 01-01, 07-01", "01-01")
    schedule_expression = _text("Crontab", "Minute, hour, day, month, weekday.", "30 2 * * 1-5")
    schedule_time_zone = _text("Time zone", "Empty: the workflow's, or the project's.")
    schedule_effective_from = _text("Effective from", "A date, or a date and time.", "2026-01-01")
    schedule_effective_until = _text("Effective until", "Included.", "")

    depends_on = DependenciesField(
        required=False,
        label="Depends on",
        help_text="task, workflow/task or project/workflow/task.",
    )
    self_dependent = forms.BooleanField(
        required=False,
        label="Waits for its own previous instance",
        widget=UnfoldBooleanWidget,
    )
    parameters = ParametersField(
        required=False,
        help_text="A constant, a built-in such as $bizdate, or an expression: ${yyyymmdd-7} on "
        "the data date, $[yyyymmddhh24miss-1/24] on the planned time.",
    )

    retries_limit = _number("Retries", "", _DEFAULT_RETRIES.limit)
    retries_interval = _number("Retry interval", "Seconds.", _DEFAULT_RETRIES.interval)
    retries_backoff = forms.FloatField(
        required=False,
        label="Back-off",
        help_text="Factor from one retry to the next, 1 or more.",
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "1"}),
    )
    retries_max_interval = _number("Longest interval", "Seconds.", _DEFAULT_RETRIES.max_interval)
    timeout = _number("Time limit", "Seconds; at most 7 days.", DEFAULT_TIMEOUT)
    priority = forms.TypedChoiceField(
        coerce=int, choices=Priority.choices, initial=5, widget=UnfoldAdminSelectWidget
    )
    resource_group = forms.ChoiceField(widget=UnfoldAdminSelectWidget)
    max_parallel = _number("At a time", "Executions of this task at a time; empty: no limit.")
    catch_up = forms.ChoiceField(
        label="After an outage",
        choices=CatchUp.choices,
        initial=CatchUp.ALL.value,
        widget=UnfoldAdminSelectWidget,
        help_text="What is made of the instances that were missed.",
    )

    class Meta:
        model = Task
        fields = ("name",)

    request: HttpRequest

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        task, user = self.instance, self.request.user
        fields: dict[str, Any] = self.fields
        workflows = scope(Workflow.objects.select_related("project"), user, Right.DEVELOP)
        if task.pk:
            self.initial.update(initial_of(task.draft))
            self.initial["owners"] = list(task.owners.values_list("pk", flat=True))
            fields["workflow"].disabled = True
            self.initial["workflow"] = task.workflow_id
            workflows = Workflow.objects.filter(pk=task.workflow_id).select_related("project")
            owners = possible_owners(task.project_id)
        else:
            self.initial.setdefault("workflow", self.request.GET.get("workflow"))
            self.initial.setdefault("resource_group", DEFAULT_GROUP)
            member = Q(memberships__project__in=projects_with(user, Right.DEVELOP))
            owners = get_user_model().objects.filter(member | Q(is_superuser=True), is_active=True)
        fields["workflow"].queryset = workflows.order_by("project__name", "name")
        fields["workflow"].label_from_instance = lambda one: f"{one.project.name}: {one.name}"
        fields["owners"].queryset = owners.distinct().order_by("username")
        fields["type"].choices = [(one.name, one.label) for one in task_types().values()]
        groups = list(dict.fromkeys([*groups_for(self.request), self.initial["resource_group"]]))
        fields["resource_group"].choices = [(name, name) for name in groups]
        fields["depends_on"].widget.suggestions = self._suggestions()

    def _suggestions(self) -> list[str]:
        rows = scope(Task.objects.all(), self.request.user).exclude(pk=self.instance.pk)
        found = rows.order_by("project__name", "workflow__name", "name").values_list(
            "project_id", "workflow_id", "project__name", "workflow__name", "name"
        )[:MOST_SUGGESTIONS]
        own = self.instance
        return [
            name
            if workflow_id == own.workflow_id
            else f"{workflow}/{name}"
            if project_id == own.project_id
            else f"{project}/{workflow}/{name}"
            for project_id, workflow_id, project, workflow, name in found
        ]

    def _post_clean(self) -> None:
        """The verbs check names and definitions."""

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if not self.instance.pk and not data.get("workflow") and "workflow" not in self.errors:
            self.add_error("workflow", "This field is required.")
        return data

    def draft(self) -> dict[str, Any]:
        """Return the definition's mapping that the fields say."""
        data = self.cleaned_data
        found: dict[str, Any] = {
            "type": data["type"],
            "description": data["description"],
            "schedule": self._schedule(),
            "depends_on": data["depends_on"],
            "self_dependent": data["self_dependent"],
            "parameters": data["parameters"],
            "config": self._config(),
            "retries": self._retries(),
            "timeout": data["timeout"],
            "priority": data["priority"],
            "resource_group": data["resource_group"],
            "max_parallel": data["max_parallel"],
            "catch_up": data["catch_up"],
        }
        if task_types()[data["type"]].code_language is not None:
            # Browsers send CRLF, which no shell wants.
            found["code"] = data["code"].replace("\r\n", "\n")
        return {name: value for name, value in found.items() if value not in (None, "", [], {})}

    def _schedule(self) -> dict[str, Any]:
        data, cycle = self.cleaned_data, self.cleaned_data["schedule_cycle"]
        found: dict[str, Any] = {"cycle": cycle}
        for key, cycles in _SCHEDULE_CYCLES.items():
            value = data[f"schedule_{key}"]
            if cycle not in cycles or value in (None, "", []):
                continue
            found[key] = _read_list(key, value) if key in _LISTS else value
        if "hours" in found:  # the other way to say when
            for key in ("every", "from", "until"):
                found.pop(key, None)
        elif cycle == "hour":
            found.pop("minute", None)
        for key in ("time_zone", "effective_from", "effective_until"):
            if value := data[f"schedule_{key}"]:
                found[key] = value.strip()
        return found

    def _retries(self) -> dict[str, Any]:
        names = ("limit", "interval", "backoff", "max_interval")
        found = {name: self.cleaned_data[f"retries_{name}"] for name in names}
        return {name: value for name, value in found.items() if value is not None}

    def _config(self) -> dict[str, Any]:
        task_type = task_types()[self.cleaned_data["type"]]
        found = {}
        for field in task_type.config:
            value = self.cleaned_data.get(config_name(task_type.name, field.name))
            value = _read_config(field, value)
            if value not in (None, "", [], {}):
                found[field.name] = value
        return found

    def place_fault(self, path: str, message: str) -> tuple[str | None, str]:
        """Return the field for a path such as "schedule.at" or "depends_on.2.task"."""
        head, _, rest = path.partition(".")
        part = rest.partition(".")[0]
        if head == "config":
            return config_name(self.data.get("type", ""), part), message
        if head in ("schedule", "retries") and f"{head}_{part}" in self.fields:
            return f"{head}_{part}", message
        if head == "schedule":
            return "schedule_cycle", message
        if head == "depends_on" and part.isdigit():
            return head, f"Row {int(part) + 1}: {message}"
        if head == "owners":
            return head, message
        return head, f"{rest}: {message}" if rest else message


_LISTS = frozenset({"hours", "weekdays", "days", "dates"})


def _read_list(key: str, value: Any) -> list[Any]:
    items = value if isinstance(value, list) else str(value).replace(";", ",").split(",")
    words = [str(item).strip() for item in items if str(item).strip()]
    if key == "dates":
        return words
    return [int(word) if word.isascii() and word.isdigit() else word for word in words]


def config_name(task_type: str, field: str) -> str:
    """Return the form's field of a type's setting."""
    return f"config_{task_type}_{field}"


def initial_of(draft: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the form's fields show of a definition's mapping."""
    schedule = draft.get("schedule", {})
    shown: dict[str, Any] = {
        name: draft[name]
        for name in (
            "type",
            "description",
            "code",
            "depends_on",
            "self_dependent",
            "parameters",
            "timeout",
            "max_parallel",
            "catch_up",
            "priority",
        )
        if name in draft
    }
    shown["resource_group"] = draft.get("resource_group", DEFAULT_GROUP)
    for key, value in schedule.items():
        is_listed = isinstance(value, list) and key != "weekdays"
        shown[f"schedule_{key}"] = ", ".join(map(str, value)) if is_listed else value
    for key, value in draft.get("retries", {}).items():
        shown[f"retries_{key}"] = value
    task_type = task_types().get(draft.get("type", ""))
    for field in task_type.config if task_type else ():
        if field.name in draft.get("config", {}):
            value = draft["config"][field.name]
            shown[config_name(draft["type"], field.name)] = _show_config(field, value)
    return shown


def _show_config(field: ConfigField, value: Any) -> Any:
    match field.kind:
        case FieldKind.LIST:
            items = value if isinstance(value, list) else [value]
            return "\n".join(map(str, items))
        case FieldKind.TEXTS:
            return "\n".join(f"{name}: {text}" for name, text in value.items())
        case FieldKind.JSON if not isinstance(value, str):
            return json.dumps(value, ensure_ascii=False, indent=2)
        case FieldKind.BOOLEAN:
            return "true" if value else "false"
        case _:
            return value


def _read_config(field: ConfigField, value: Any) -> Any:
    if value in (None, ""):
        return None
    match field.kind:
        case FieldKind.LIST:
            lines = [line.strip() for line in value.splitlines() if line.strip()]
            return [int(line) if line.isascii() and line.isdigit() else line for line in lines]
        case FieldKind.TEXTS:
            pairs = (line.partition(":") for line in value.splitlines() if line.strip())
            return {name.strip(): text.strip() for name, _, text in pairs}
        case FieldKind.JSON if value.lstrip().startswith(("{", "[")):
            try:
                return json.loads(value)
            except ValueError:
                return value  # a text that only looks like JSON
        case FieldKind.BOOLEAN:
            return value == "true"
        case _:
            return value


def _config_field(field: ConfigField) -> forms.Field:
    label = field.name.replace("_", " ").capitalize()
    default = "" if field.default is None else str(field.default)
    match field.kind:
        case FieldKind.INTEGER:
            return _number(label, field.help, default)
        case FieldKind.BOOLEAN:
            words = {True: "yes", False: "no"}
            choices = [
                ("", f"default ({words[bool(field.default)]})"),
                ("true", "yes"),
                ("false", "no"),
            ]
            return forms.ChoiceField(
                required=False,
                label=label,
                help_text=field.help,
                choices=choices,
                widget=UnfoldAdminSelectWidget,
            )
        case FieldKind.CHOICE:
            choices = [("", f"default ({default})"), *((one, one) for one in field.choices)]
            return forms.ChoiceField(
                required=False,
                label=label,
                help_text=field.help,
                choices=choices,
                widget=UnfoldAdminSelectWidget,
            )
        case FieldKind.LIST:
            help_text = f"{field.help} One on a line."
            return forms.CharField(
                required=False, label=label, help_text=help_text, widget=_area(3)
            )
        case FieldKind.TEXTS:
            help_text = f"{field.help} One on a line, as name: value."
            return forms.CharField(
                required=False, label=label, help_text=help_text, widget=_area(3)
            )
        case FieldKind.JSON:
            return forms.CharField(
                required=False, label=label, help_text=field.help, widget=_area(6)
            )
        case _:
            return _text(label, field.help)


def _with_config() -> type[BaseTaskForm]:
    fields = {
        config_name(one.name, field.name): _config_field(field)
        for one in task_types().values()
        for field in one.config
    }
    return type("TaskForm", (BaseTaskForm,), {"__module__": __name__, **fields})


TaskForm = _with_config()


def config_names() -> list[str]:
    """Return the fields of all settings of all types."""
    return [
        config_name(one.name, field.name) for one in task_types().values() for field in one.config
    ]


def conditional_fields() -> dict[str, str]:
    """Return when a field is shown, as expressions over the form's values."""
    found = {
        f"schedule_{key}": " || ".join(f"schedule_cycle == '{cycle}'" for cycle in cycles)
        for key, cycles in _SCHEDULE_CYCLES.items()
    }
    for one in task_types().values():
        found |= {
            config_name(one.name, field.name): f"type == '{one.name}'" for field in one.config
        }
    codeless = [one.name for one in task_types().values() if one.code_language is None]
    found["code"] = " && ".join(f"type != '{name}'" for name in codeless) or "true"
    return found
