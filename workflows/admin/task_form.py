"""The form of a draft: from a definition's mapping to fields and back (T9–T13).

The form checks nothing that the definition checks: the verb reads the mapping, and what it refuses
comes back to the field of its path.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth import get_user_model
from django.db.models import Q
from django.http import HttpRequest
from django.utils.dates import WEEKDAYS_ABBR
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from projects.access import projects_with, scope
from projects.ground.fields.forms import (
    form_field,
    from_text,
    number_field,
    text_area,
    text_field,
)
from projects.ground.words import gettext_lazy
from projects.roles import Right
from workflows.admin.choices import groups_for
from workflows.admin.draft_fields import config_name, initial_of
from workflows.admin.revised import RevisedForm
from workflows.admin.rows import DependenciesField, ParametersField
from workflows.choices import CYCLE_CHOICES, CatchUp, Priority
from workflows.definitions.closed_references import cover_for
from workflows.definitions.definition import DEFAULT_GROUP, DEFAULT_TIMEOUT, Retries
from workflows.definitions.task_types import get_task_type, task_types
from workflows.editing.owners import possible_owners
from workflows.models import Task, Workflow

MOST_SUGGESTIONS = 2_000
_WEEKDAYS = [(str(number + 1), name) for number, name in WEEKDAYS_ABBR.items()]
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


class BaseTaskForm(RevisedForm):
    """A task's name and draft; the settings of each type are added by `task_form`."""

    workflow = forms.ModelChoiceField(
        Workflow.objects.none(),
        required=False,
        label=gettext_lazy("Workflow"),
        widget=UnfoldAdminSelectWidget,
    )
    owners = forms.ModelMultipleChoiceField(
        get_user_model().objects.none(),
        required=False,
        label=gettext_lazy("Owners"),
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )
    type = forms.ChoiceField(label=gettext_lazy("Type"), widget=UnfoldAdminSelectWidget)
    description = forms.CharField(
        required=False,
        label=gettext_lazy("Description"),
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
    )
    code = forms.CharField(
        required=False,
        strip=False,
        label=gettext_lazy("Code"),
        widget=text_area(18),
        help_text=gettext_lazy("${name} stands for a parameter; anything else is left alone."),
    )

    schedule_cycle = forms.ChoiceField(
        label=gettext_lazy("Cycle"),
        choices=CYCLE_CHOICES,
        widget=UnfoldAdminSelectWidget,
        initial="day",
    )
    schedule_every = number_field(
        gettext_lazy("Every"), gettext_lazy("Minutes (1–59) or hours (1–23)."), "1"
    )
    schedule_from = text_field(gettext_lazy("From"), gettext_lazy("Time of day."), "00:00")
    schedule_until = text_field(gettext_lazy("Until"), gettext_lazy("Time of day."), "23:59")
    schedule_hours = text_field(
        gettext_lazy("or at hours"), gettext_lazy("Instead of “every”: 0, 6, 12, 18.")
    )
    schedule_minute = number_field(
        gettext_lazy("at minute"), gettext_lazy("Of the listed hours."), "0"
    )
    schedule_at = text_field(
        gettext_lazy("At"),
        gettext_lazy("Time of day; for one time the day as well: 2026-01-31 05:00."),
        "00:00",
    )
    schedule_weekdays = forms.MultipleChoiceField(
        required=False,
        label=gettext_lazy("Weekdays"),
        choices=_WEEKDAYS,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )
    schedule_days = text_field(gettext_lazy("Days of the month"), gettext_lazy("1, 15, last"), "1")
    schedule_dates = text_field(
        gettext_lazy("Dates of the year"), gettext_lazy("Month and day: 01-01, 07-01"), "01-01"
    )
    schedule_expression = text_field(
        gettext_lazy("Crontab"), gettext_lazy("Minute, hour, day, month, weekday."), "30 2 * * 1-5"
    )
    schedule_time_zone = text_field(
        gettext_lazy("Time zone"), gettext_lazy("Empty: the workflow's, or the project's.")
    )
    schedule_effective_from = text_field(
        gettext_lazy("Effective from"), gettext_lazy("A date, or a date and time."), "2026-01-01"
    )
    schedule_effective_until = text_field(
        gettext_lazy("Effective until"), gettext_lazy("Included."), ""
    )

    depends_on = DependenciesField(
        required=False,
        label=gettext_lazy("Depends on"),
        help_text=gettext_lazy("task, workflow/task or project/workflow/task."),
    )
    self_dependent = forms.BooleanField(
        required=False,
        label=gettext_lazy("Waits for its own previous instance"),
        widget=UnfoldBooleanWidget,
    )
    parameters = ParametersField(
        required=False,
        label=gettext_lazy("Parameters"),
        help_text=gettext_lazy(
            "A constant, a built-in such as $bizdate, or an expression: ${yyyymmdd-7} on "
            "the data date, $[yyyymmddhh24miss-1/24] on the planned time."
        ),
    )

    retries_limit = number_field(gettext_lazy("Retries"), "", _DEFAULT_RETRIES.limit)
    retries_interval = number_field(
        gettext_lazy("Retry interval"), gettext_lazy("Seconds."), _DEFAULT_RETRIES.interval
    )
    retries_backoff = forms.FloatField(
        required=False,
        label=gettext_lazy("Back-off"),
        help_text=gettext_lazy("Factor from one retry to the next, 1 or more."),
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "1"}),
    )
    retries_max_interval = number_field(
        gettext_lazy("Longest interval"), gettext_lazy("Seconds."), _DEFAULT_RETRIES.max_interval
    )
    timeout = number_field(
        gettext_lazy("Time limit"), gettext_lazy("Seconds; at most 7 days."), DEFAULT_TIMEOUT
    )
    priority = forms.TypedChoiceField(
        coerce=int,
        choices=Priority.choices,
        initial=5,
        label=gettext_lazy("Priority"),
        widget=UnfoldAdminSelectWidget,
    )
    resource_group = forms.ChoiceField(
        label=gettext_lazy("Resource group"), widget=UnfoldAdminSelectWidget
    )
    max_parallel = number_field(
        gettext_lazy("At a time"),
        gettext_lazy("Executions of this task at a time; empty: no limit."),
    )
    catch_up = forms.ChoiceField(
        label=gettext_lazy("After an outage"),
        choices=CatchUp.choices,
        initial=CatchUp.ALL.value,
        widget=UnfoldAdminSelectWidget,
        help_text=gettext_lazy("What is made of the instances that were missed."),
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
            cover = cover_for(user, [task.pk])
            self.initial.update(initial_of(cover.covered(task.pk, task.draft)))
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
            self.add_error("workflow", _("This field is required."))
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
            value = from_text(field, value)
            if value not in (None, "", [], {}):
                found[field.name] = value
        return found

    def place_fault(self, path: str, message: str) -> tuple[str | None, str]:
        """Return the field for a path such as "schedule.at" or "depends_on.2.task"."""
        head, rest = path.partition(".")[::2]
        part = rest.partition(".")[0]
        name = field_of(path, self.data.get("type", ""))
        if name != head or head == "owners":
            return name, message
        if head == "depends_on" and part.isdigit():
            row = _("Row {number}: {message}").format(number=int(part) + 1, message=message)
            return head, row
        return head, f"{rest}: {message}" if rest else message


_LISTS = frozenset({"hours", "weekdays", "days", "dates"})


def _read_list(key: str, value: Any) -> list[Any]:
    items = value if isinstance(value, list) else str(value).replace(";", ",").split(",")
    words = [str(item).strip() for item in items if str(item).strip()]
    if key == "dates":
        return words
    return [int(word) if word.isascii() and word.isdigit() else word for word in words]


def field_of(path: str, task_type: str) -> str:
    """Return the form's field for a path of a definition."""
    head, _, rest = path.partition(".")
    part = rest.partition(".")[0]
    if head == "config":
        return config_name(task_type, part)
    if head in ("schedule", "retries") and f"{head}_{part}" in BaseTaskForm.base_fields:
        return f"{head}_{part}"
    return "schedule_cycle" if head == "schedule" else head


def words_of(path: str, task_type: str) -> tuple[str, str]:
    """Return what the form calls the field of a path, and the anchor of that field."""
    name = field_of(path, task_type)
    head, rest = path.partition(".")[::2]
    part = rest.partition(".")[0]
    if head == "config":
        kind = get_task_type(task_type)
        titles = {one.name: one.title for one in kind.config} if kind else {}
        label = titles.get(part, part)
    else:
        field = BaseTaskForm.base_fields.get(name)
        label = str(field.label) if field else name
    label = str(capfirst(label))
    if name == "depends_on" and part.isdigit():
        label = _("{field}, row {number}").format(field=label, number=int(part) + 1)
    return label, f"id_{name}"


def task_form() -> type[BaseTaskForm]:
    """Return the form with the settings of every type in it, as its reader reads them."""
    fields = {
        config_name(one.name, field.name): form_field(field)
        for one in task_types().values()
        for field in one.config
    }
    return type("TaskForm", (BaseTaskForm,), {"__module__": __name__, **fields})


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
