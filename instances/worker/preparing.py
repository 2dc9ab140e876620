"""Preparing an execution: from the rows of an instance to what its runner gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from instances.error_codes import ErrorCode
from instances.models import Execution
from instances.runners.base import DataSourceTarget, TaskContext
from projects.models import DataSource
from workflows.definitions.definition import TaskDefinition
from workflows.definitions.version_loading import load_definitions
from workflows.parameters.context import Context
from workflows.parameters.errors import ExpressionError
from workflows.parameters.rendering import render
from workflows.parameters.resolution import code_values
from workflows.schedules import previous_fire


class NotPrepared(Exception):
    """The execution cannot be started: `code` is an ErrorCode, the message says why."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Prepared:
    """What runs: the runner's context, the time limit in seconds, the values that were used."""

    project_id: int
    context: TaskContext
    timeout: int
    parameters: Mapping[str, str]


def prepare(execution: Execution) -> Prepared:
    """Resolve parameters, fill in the code and find the data source; raise NotPrepared.

    `execution` comes with instance, task, workflow, project and version selected.
    """
    instance = execution.instance
    task = instance.task
    definition = load_definitions([instance.version_id])[instance.version_id]
    values = _values(execution, definition)
    used = {name: values[name] for name in definition.parameters}
    config = _fill(dict(definition.config), values)
    named = (config.get(name) for name in definition.task_type.data_source_fields())
    source, secrets = _data_source(instance.project_id, next(filter(None, named), None))
    schedule = definition.schedule
    context = TaskContext(
        execution_id=execution.pk,
        instance_id=instance.pk,
        task_name=task.name,
        task_type=definition.type,
        work_dir=Path(settings.DATA_DIRECTORY) / "work",
        code=render(definition.code, values),
        config=config,
        parameters=used,
        data_source=source,
        scheduled_at=instance.scheduled_at.astimezone(schedule.zone).isoformat(),
        data_date=instance.data_date.isoformat(),
        time_zone=schedule.time_zone,
        allowed_hosts=tuple(instance.project.allowed_hosts),
        secrets=secrets,
    )
    return Prepared(instance.project_id, context, definition.timeout, used)


def parameter_context(execution: Execution, definition: TaskDefinition) -> Context:
    """Return what the parameters of the execution's instance are worked out from."""
    instance = execution.instance
    return Context(
        scheduled_at=instance.scheduled_at,
        time_zone=definition.schedule.time_zone,
        task_id=instance.task_id,
        task_name=instance.task.name,
        workflow=instance.task.workflow.name,
        project=instance.project.name,
        instance_id=instance.pk,
        interval_start=previous_fire(definition.schedule, instance.scheduled_at),
        interval_end=instance.scheduled_at,
    )


def _values(execution: Execution, definition: TaskDefinition) -> dict[str, str]:
    try:
        return code_values(
            definition.parameters,
            parameter_context(execution, definition),
            execution.instance.parameters,
        )
    except ExpressionError as error:
        raise NotPrepared(ErrorCode.BAD_PARAMETERS, str(error)) from error


def _fill(value: Any, values: Mapping[str, str]) -> Any:
    """Fill parameters into every text of a setting."""
    if isinstance(value, str):
        return render(value, values)
    if isinstance(value, dict):
        return {key: _fill(inner, values) for key, inner in value.items()}
    if isinstance(value, list):
        return [_fill(inner, values) for inner in value]
    return value


def _data_source(
    project_id: int, name: str | None
) -> tuple[DataSourceTarget | None, tuple[str, ...]]:
    if not name:
        return None, ()
    source = DataSource.objects.filter(project_id=project_id, name=name).first()
    if source is None:
        raise NotPrepared(
            ErrorCode.BAD_CONFIG, f"The project has no data source “{name}” any more."
        )
    try:
        url = make_url(source.url)
    except ArgumentError as error:
        raise NotPrepared(
            ErrorCode.BAD_CONFIG, f"The URL of data source “{name}” cannot be read."
        ) from error
    if source.password:
        url = url.set(password=source.password)
    target = DataSourceTarget(name, url.render_as_string(hide_password=False))
    return target, tuple(filter(None, (source.password,)))
