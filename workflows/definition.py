"""A task's definition: what a draft holds and what a submission freezes (T9, T12, T13).

Pure: a value that is read from a mapping, checked field by field, and written back in one normal
form. Whatever takes more than the mapping itself to check (names of other tasks, resource groups,
data sources) is the business of `validation`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from workflows.choices import CatchUp, Priority
from workflows.field_reading import (
    FieldError,
    FieldReader,
    join,
    json_faults,
    quoted,
    unknown_key,
)
from workflows.matching import Offset, Scope
from workflows.parameters.resolution import validate as validate_parameters
from workflows.schedules import Schedule, ScheduleError
from workflows.task_types import TaskType, get_task_type, task_types, unknown_type

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

    def to_mapping(self) -> dict[str, Any]:
        """Return the fields that are not the default."""
        default = Retries()
        found: dict[str, Any] = {}
        for name in ("limit", "interval", "backoff", "max_interval"):
            value = getattr(self, name)
            if value != getattr(default, name):
                found[name] = int(value) if value == int(value) else value
        return found


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
    def from_mapping(cls, data: object, *, time_zone: str) -> TaskDefinition:
        """Read a definition; `time_zone` (IANA) counts where the schedule names none.

        Raises DefinitionError with every fault and its field.
        """
        return cls._read(data, time_zone, _check_type)

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
    ) -> TaskDefinition:
        fields = FieldReader(data, FIELDS)
        code = fields.text("code", max_length=MAX_CODE_LENGTH)
        type_name, config = read_type(fields, code)
        schedule = _read_schedule(fields, time_zone)
        definition: dict[str, Any] = {
            "type": type_name,
            "schedule": schedule,
            "description": fields.text("description", max_length=MAX_DESCRIPTION_LENGTH),
            "code": code,
            "config": config,
            "parameters": _read_parameters(fields),
            "depends_on": _read_dependencies(fields),
            "self_dependent": fields.boolean("self_dependent"),
            "retries": _read_retries(fields),
            "timeout": fields.integer(
                "timeout", DEFAULT_TIMEOUT, minimum=1, maximum=MAX_TIMEOUT, unit=" seconds"
            ),
            "priority": _read_priority(fields),
            "resource_group": fields.text("resource_group", DEFAULT_GROUP, max_length=64),
            "max_parallel": fields.integer("max_parallel", None, minimum=1, maximum=100_000),
            "catch_up": CatchUp(fields.text("catch_up", CatchUp.ALL.value, choices=CatchUp.values)),
        }
        if fields.errors:
            raise DefinitionError(fields.errors)
        return cls(**definition)

    def to_mapping(self) -> dict[str, Any]:
        """Return the normal form: fields in the order of FIELDS, defaults left out."""
        found: dict[str, Any] = {"type": self.type}
        others: dict[str, tuple[Any, Any]] = {
            "description": (self.description, ""),
            "schedule": (self.schedule.to_mapping(), None),
            "depends_on": ([reference.to_mapping() for reference in self.depends_on], []),
            "self_dependent": (self.self_dependent, False),
            "parameters": (dict(sorted(self.parameters.items())), {}),
            "config": (dict(self.config), {}),
            "retries": (self.retries.to_mapping(), {}),
            "timeout": (self.timeout, DEFAULT_TIMEOUT),
            "priority": (self.priority, Priority.NORMAL.value),
            "resource_group": (self.resource_group, DEFAULT_GROUP),
            "max_parallel": (self.max_parallel, None),
            "catch_up": (self.catch_up.value, CatchUp.ALL.value),
            "code": (self.code, ""),
        }
        found |= {name: value for name, (value, default) in others.items() if value != default}
        return found

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
        hint = unknown_key(name, known).partition(". ")[2]
        fields.refuse("type", f"There is no task type “{name}”. {hint or f'Use {quoted(known)}.'}")
    return task_type


def _read_schedule(fields: FieldReader, time_zone: str) -> Schedule | None:
    written = fields.raw("schedule")
    if written is None:
        fields.refuse("schedule", "This field is required.")
        return None
    if not isinstance(written, Mapping):
        fields.refuse("schedule", 'Must be a mapping such as {cycle: day, at: "02:30"}.')
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


def _read_dependencies(fields: FieldReader) -> tuple[DependencyReference, ...]:
    found: list[DependencyReference] = []
    seen: set[tuple[str, Offset]] = set()
    for index, item in enumerate(fields.sequence("depends_on", max_items=MAX_DEPENDENCIES)):
        path = join("depends_on", index)
        if not isinstance(item, str | Mapping):
            fields.errors.append((path, "Must be a task's name, or a mapping with task: its name."))
            continue
        inner = FieldReader(
            {"task": item} if isinstance(item, str) else item,
            ("task", "offset", "scope"),
            path=path,
            errors=fields.errors,
        )
        faults_before = len(fields.errors)
        name = inner.text("task", required=True, max_length=MAX_REFERENCE_LENGTH)
        offset = inner.text("offset", Offset.SAME.value, choices=[one.value for one in Offset])
        scope = inner.text("scope", Scope.DEFAULT.value, choices=[one.value for one in Scope])
        if len(fields.errors) > faults_before:
            continue
        reference = DependencyReference(name, Offset(offset), Scope(scope))
        parts = name.split("/")
        if len(parts) > 3 or not all(parts):
            fields.errors.append(
                (path, f"“{name}” is not a task, workflow/task or project/workflow/task.")
            )
        elif (name, reference.offset) in seen:
            fields.errors.append((path, f"“{name}” is named twice."))
        seen.add((name, reference.offset))
        found.append(reference)
    return tuple(found)


def _read_retries(fields: FieldReader) -> Retries:
    default = Retries()
    inner = FieldReader(
        fields.raw("retries"),
        ("limit", "interval", "backoff", "max_interval"),
        path="retries",
        errors=fields.errors,
    )
    limit = inner.integer("limit", default.limit, minimum=0, maximum=100)
    interval = inner.integer(
        "interval", default.interval, minimum=0, maximum=MAX_TIMEOUT, unit=" seconds"
    )
    backoff = inner.number("backoff", default.backoff, minimum=1, maximum=100)
    max_interval = inner.integer(
        "max_interval", default.max_interval, minimum=0, maximum=MAX_TIMEOUT, unit=" seconds"
    )
    assert limit is not None and interval is not None and max_interval is not None
    if max_interval < interval:
        inner.refuse("max_interval", f"Must not be less than the interval of {interval:,} seconds.")
    return Retries(limit, interval, backoff, max_interval)


def _read_priority(fields: FieldReader) -> int:
    value = fields.raw("priority")
    if value is None:
        return Priority.NORMAL.value
    if isinstance(value, bool) or value not in Priority.values:
        fields.refuse("priority", f"Must be {quoted(Priority.values)}.")
        return Priority.NORMAL.value
    return int(value)
