"""A task's definition: what a draft holds and what a submission freezes (T9, T12, T13).

Pure: a value that is read from a mapping, checked field by field, and written back in one normal
form. Whatever takes more than the mapping itself to check (names of other tasks, resource groups,
data sources) is the business of `validation`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from projects.ground.fields.faults import FieldError, join, quoted
from projects.ground.fields.field import Choice, Field, Kind
from projects.ground.fields.json import json_faults
from projects.ground.fields.reader import FieldReader
from projects.ground.showing import spell_seconds
from projects.ground.words import gettext_lazy, thousands
from workflows.choices import CatchUp, Priority
from workflows.definitions.task_types import TaskType, get_task_type, task_types, unknown_type
from workflows.parameters.resolution import validate as validate_parameters
from workflows.schedules import Schedule, ScheduleError
from workflows.schedules.matching import Offset, Scope

FIELDS = (
    "type",
    "description",
    "schedule",
    "depends_on",
    "self_dependent",
    "parameters",
    "config",
    "retries",
    "timeout",
    "priority",
    "resource_group",
    "max_parallel",
    "catch_up",
    "code",
)

MAX_CODE_LENGTH = 1_000_000
MAX_DESCRIPTION_LENGTH = 10_000
MAX_DEPENDENCIES = 1_000
# What stands for the name of a task that its reader does not see; see closed_references.
MARK = re.compile(r"//(\d{1,18}|x[0-9a-f]{12})")
MAX_REFERENCE_LENGTH = 302  # three names of 100 characters and two slashes

DEFAULT_TIMEOUT = 24 * 3600
MAX_TIMEOUT = 7 * 24 * 3600
DEFAULT_GROUP = "default"


class DefinitionError(ValueError):
    """The definition is wrong: `errors` has (field path, message) pairs, all of them."""

    def __init__(self, errors: list[FieldError]) -> None:
        self.errors = errors
        super().__init__("; ".join(f"{field}: {message}" for field, message in errors))


@dataclass(frozen=True, slots=True)
class Retries:
    """What happens after a failure. `interval` and `max_interval` are seconds.

    The n-th retry waits interval · backoff^(n-1) seconds, at most max_interval.
    """

    limit: int = 5
    interval: int = 60
    backoff: float = 1.0
    max_interval: int = 24 * 3600


@dataclass(frozen=True, slots=True)
class DependencyReference:
    """An upstream task by name, `[[project/]workflow/]task`, and which of its instances (T12)."""

    task: str
    offset: Offset = Offset.SAME
    scope: Scope = Scope.DEFAULT

    def to_mapping(self) -> str | dict[str, str]:
        """Return the name alone when the rest is the default."""
        found = {"task": self.task}
        if self.offset is not Offset.SAME:
            found["offset"] = self.offset.value
        if self.scope is not Scope.DEFAULT:
            found["scope"] = self.scope.value
        return found if len(found) > 1 else self.task


def _make_retries(fields: FieldReader, values: dict[str, Any]) -> Retries:
    retries = Retries(**values)
    if retries.max_interval < retries.interval:
        fields.refuse(
            "max_interval",
            ngettext(
                "Must not be less than the interval of {count} second.",
                "Must not be less than the interval of {count} seconds.",
                retries.interval,
            ).format(count=thousands(retries.interval)),
        )
    return retries


_RETRIES = Retries()

# The fields of every type of task; what they say has no form of its own.
PLAIN = (
    Field(
        name="description",
        help=gettext_lazy("What it is for."),
        default="",
        max_length=MAX_DESCRIPTION_LENGTH,
    ),
    Field(
        name="self_dependent",
        help=gettext_lazy("Whether an instance waits for the one before it."),
        kind=Kind.BOOLEAN,
        default=False,
    ),
    Field(
        name="retries",
        help=gettext_lazy("What happens after a failure."),
        kind=Kind.OBJECT,
        default=_RETRIES,
        make=_make_retries,
        fields=(
            Field(
                name="limit",
                help=gettext_lazy("How often it is tried again."),
                kind=Kind.INTEGER,
                default=_RETRIES.limit,
                maximum=100,
            ),
            Field(
                name="interval",
                help=gettext_lazy("Seconds until the first retry."),
                kind=Kind.INTEGER,
                default=_RETRIES.interval,
                maximum=MAX_TIMEOUT,
                unit=gettext_lazy("seconds"),
                spelled=spell_seconds,
            ),
            Field(
                name="backoff",
                help=gettext_lazy("The factor from one interval to the next."),
                kind=Kind.NUMBER,
                default=_RETRIES.backoff,
                minimum=1,
                maximum=100,
            ),
            Field(
                name="max_interval",
                help=gettext_lazy("The longest interval, in seconds."),
                kind=Kind.INTEGER,
                default=_RETRIES.max_interval,
                maximum=MAX_TIMEOUT,
                unit=gettext_lazy("seconds"),
                spelled=spell_seconds,
            ),
        ),
    ),
    Field(
        name="timeout",
        help=gettext_lazy("The time limit of one execution, in seconds."),
        kind=Kind.INTEGER,
        default=DEFAULT_TIMEOUT,
        minimum=1,
        maximum=MAX_TIMEOUT,
        unit=gettext_lazy("seconds"),
        spelled=spell_seconds,
    ),
    Field(
        name="resource_group",
        help=gettext_lazy("The group in which it takes a slot."),
        default=DEFAULT_GROUP,
        max_length=64,
    ),
    Field(
        name="max_parallel",
        help=gettext_lazy("Executions of this task at a time; none: no limit."),
        none=gettext_lazy("no limit"),
        kind=Kind.INTEGER,
        minimum=1,
        maximum=100_000,
    ),
    Field(
        name="catch_up",
        help=gettext_lazy("What is made of the instances that were missed in an outage."),
        kind=Kind.CHOICE,
        default=CatchUp.ALL.value,
        choices=tuple(Choice(one.value, one.label) for one in CatchUp),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDefinition:
    """Everything about a task but its name and place. `timeout` is in seconds.

    Make one with `from_mapping`; `from_mapping(to_mapping(x)) == x` for every x.
    """

    type: str
    schedule: Schedule
    description: str = ""
    code: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    depends_on: tuple[DependencyReference, ...] = ()
    self_dependent: bool = False
    retries: Retries = Retries()
    timeout: int = DEFAULT_TIMEOUT
    priority: int = Priority.NORMAL.value
    resource_group: str = DEFAULT_GROUP
    max_parallel: int | None = None
    catch_up: CatchUp = CatchUp.ALL

    @classmethod
    def from_mapping(
        cls, data: object, *, time_zone: str, with_marks: bool = False
    ) -> TaskDefinition:
        """Read a definition; `time_zone` (IANA) counts where the schedule names none.

        with_marks: marks of closed references pass as names: what they stand for is found later.

        Raises DefinitionError with every fault and its field.
        """
        return cls._read(data, time_zone, _check_type, with_marks)

    @classmethod
    def from_stored(cls, data: object, *, time_zone: str) -> TaskDefinition:
        """Read a definition that was checked when it was stored.

        The package that brought its type may have changed or gone since: settings and code that it
        would refuse now stay as they were written, and it is the execution that fails.
        """
        return cls._read(data, time_zone, _accept_type)

    @classmethod
    def _read(
        cls,
        data: object,
        time_zone: str,
        read_type: Callable[[FieldReader, str], tuple[str, dict[str, Any]]],
        with_marks: bool = False,
    ) -> TaskDefinition:
        fields = FieldReader(data, FIELDS)
        code = fields.text("code", max_length=MAX_CODE_LENGTH)
        type_name, config = read_type(fields, code)
        schedule = _read_schedule(fields, time_zone)
        definition: dict[str, Any] = {field.name: field.read(fields) for field in PLAIN}
        definition |= {
            "type": type_name,
            "schedule": schedule,
            "code": code,
            "config": config,
            "parameters": _read_parameters(fields),
            "depends_on": _read_dependencies(fields, with_marks),
            "priority": _read_priority(fields),
            "catch_up": CatchUp(definition["catch_up"]),
        }
        if fields.errors:
            raise DefinitionError(fields.errors)
        return cls(**definition)

    def to_mapping(self) -> dict[str, Any]:
        """Return the normal form: fields in the order of FIELDS, defaults left out."""
        values: dict[str, Any] = {
            "type": self.type,
            "schedule": self.schedule.to_mapping(),
            "depends_on": [reference.to_mapping() for reference in self.depends_on],
            "parameters": dict(sorted(self.parameters.items())),
            "config": dict(self.config),
            "priority": None if self.priority == Priority.NORMAL else self.priority,
            "code": self.code,
        }
        values = {name: value for name, value in values.items() if value not in (None, "", [], {})}
        values |= {
            field.name: field.plain(value)
            for field in PLAIN
            if (value := getattr(self, field.name)) != field.default
        }
        return {name: values[name] for name in FIELDS if name in values}

    @property
    def task_type(self) -> TaskType:
        """Its type; one without settings when the package that brought it is gone."""
        return get_task_type(self.type) or unknown_type(self.type)


def _check_type(fields: FieldReader, code: str) -> tuple[str, dict[str, Any]]:
    """Return the type's name and the settings in normal form; note what is wrong with them."""
    task_type = _read_type(fields)
    if task_type is None:
        return "", {}
    config, faults = task_type.check_config(fields.raw("config"))
    fields.errors += faults
    if code == (fields.raw("code") or ""):  # otherwise it was refused already
        fields.errors += task_type.check_code(code)
    return task_type.name, config


def _accept_type(fields: FieldReader, code: str) -> tuple[str, dict[str, Any]]:
    """Return the type's name and the settings: in normal form, if it still takes them."""
    name = fields.text("type", required=True, max_length=64)
    written = dict(fields.raw("config") or {})
    task_type = get_task_type(name)
    config, faults = task_type.check_config(written) if task_type else ({}, [])
    return name, written if task_type is None or faults else config


def _read_type(fields: FieldReader) -> TaskType | None:
    name = fields.text("type", required=True, max_length=64)
    task_type = get_task_type(name)
    if name and task_type is None:
        known = task_types()
        if close := difflib.get_close_matches(name, known, n=1):
            message = _("There is no task type “{name}”. Did you mean “{guess}”?")
            fields.refuse("type", message.format(name=name, guess=close[0]))
        else:
            message = _("There is no task type “{name}”. Use {known}.")
            fields.refuse("type", message.format(name=name, known=quoted(known)))
    return task_type


def _read_schedule(fields: FieldReader, time_zone: str) -> Schedule | None:
    written = fields.raw("schedule")
    if written is None:
        fields.refuse("schedule", _("This field is required."))
        return None
    if not isinstance(written, Mapping):
        message = _("Must be a mapping such as {example}.")
        fields.refuse("schedule", message.format(example='{cycle: day, at: "02:30"}'))
        return None
    try:
        return Schedule.from_mapping(written, time_zone)
    except ScheduleError as error:
        fields.errors += error.errors
        return None


def _read_parameters(fields: FieldReader) -> dict[str, str]:
    written = fields.raw("parameters")
    if written is None:
        return {}
    faults = validate_parameters(written) or json_faults(written, "parameters")
    fields.errors += faults
    return {} if faults else dict(written)


def _read_dependencies(fields: FieldReader, with_marks: bool) -> tuple[DependencyReference, ...]:
    found: list[DependencyReference] = []
    seen: set[tuple[str, Offset]] = set()
    for index, item in enumerate(fields.sequence("depends_on", max_items=MAX_DEPENDENCIES)):
        path = join("depends_on", index)
        if not isinstance(item, str | Mapping):
            message = _("Must be a task's name, or a mapping with task: its name.")
            fields.errors.append((path, message))
            continue
        inner = fields.inner(
            path, {"task": item} if isinstance(item, str) else item, ("task", "offset", "scope")
        )
        faults_before = len(fields.errors)
        name = inner.text("task", required=True, max_length=MAX_REFERENCE_LENGTH)
        offset = inner.text("offset", Offset.SAME.value, choices=[one.value for one in Offset])
        scope = inner.text("scope", Scope.DEFAULT.value, choices=[one.value for one in Scope])
        if len(fields.errors) > faults_before:
            continue
        reference = DependencyReference(name, Offset(offset), Scope(scope))
        parts = name.split("/")
        if (len(parts) > 3 or not all(parts)) and not (with_marks and MARK.fullmatch(name)):
            message = _("“{name}” is not a task, workflow/task or project/workflow/task.")
            fields.errors.append((path, message.format(name=name)))
        elif (name, reference.offset) in seen:
            fields.errors.append((path, _("“{name}” is named twice.").format(name=name)))
        seen.add((name, reference.offset))
        found.append(reference)
    return tuple(found)


def _read_priority(fields: FieldReader) -> int:
    value = fields.raw("priority")
    if value is None:
        return Priority.NORMAL.value
    if isinstance(value, bool) or value not in Priority.values:
        message = _("Must be {values}.").format(values=quoted(Priority.values))
        fields.refuse("priority", message)
        return Priority.NORMAL.value
    return int(value)
