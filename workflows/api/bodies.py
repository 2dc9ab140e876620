"""What the API takes about folders, workflows and tasks."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

from django.utils.translation import gettext as _
from rest_framework import serializers

from projects.ground.refusals import Invalid
from projects.models import Project
from projects.rest.fields import (
    Body,
    FlagField,
    IdField,
    TextField,
    VisibleField,
)
from workflows.api.definition_schema import DefinitionField
from workflows.bundles.reading import MAX_SIZE
from workflows.editing.owners import possible_owners
from workflows.models import Workflow

FIRST_DATE, LAST_DATE = date(1970, 1, 1), date(2199, 12, 31)


class RevisionBody(Body):
    """What a change is based on."""

    revision = TextField(
        max_length=64,
        required=False,
        help_text="As it was read: 409 `changed_meanwhile`, with a diff at each field, when it is "
        "not the present one any more.",
    )


class OwnersField(serializers.ListField):
    """User names."""

    child = TextField(max_length=150)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=100, required=False, help_text="User names.", **kwargs)


class FolderChanges(Body):
    """What may change of a folder."""

    name = TextField(max_length=100, required=False)
    parent = IdField(  # type: ignore[assignment]
        required=False, allow_null=True, help_text="Null: the project's root."
    )


class FolderPatch(FolderChanges, RevisionBody):
    """A change of a folder."""


class NewFolder(FolderChanges):
    """A folder to be made."""

    project = VisibleField(Project, path="")
    name = TextField(max_length=100)


class WorkflowChangesBody(Body):
    """What may change of a workflow."""

    name = TextField(max_length=100, required=False)
    folder = IdField(required=False, allow_null=True, help_text="Null: the project's root.")
    description = TextField(max_length=10_000, required=False, allow_blank=True)
    time_zone = TextField(
        max_length=64, required=False, allow_blank=True, help_text="Empty: the project's."
    )
    owners = OwnersField()


class WorkflowPatch(WorkflowChangesBody, RevisionBody):
    """A change of a workflow."""


class NewWorkflow(WorkflowChangesBody):
    """A workflow to be made; without owners it is its maker's."""

    project = VisibleField(Project, path="")
    name = TextField(max_length=100)


class ImportBody(Body):
    """A workflow file for a project."""

    project = VisibleField(Project, path="")
    yaml = TextField(max_length=MAX_SIZE, help_text="The file: one or more workflows.")
    submit = FlagField(default=False, help_text="Submit the tasks along.")
    prune = FlagField(default=False, help_text="Delete drafts that the file leaves out.")
    comment = TextField(max_length=256, default="", allow_blank=True)


class TaskChanges(Body):
    """What may change of a task; its definition as a whole."""

    name = TextField(max_length=100, required=False)
    definition = DefinitionField(required=False)
    owners = OwnersField()


class TaskPatch(TaskChanges, RevisionBody):
    """A change of a task."""


class NewTaskBody(TaskChanges):
    """A task to be made; without owners it is its maker's."""

    workflow = VisibleField(Workflow)
    name = TextField(max_length=100)
    definition = DefinitionField()


class ParametersBody(Body):
    """A date, and perhaps what is not saved yet."""

    data_date = serializers.DateField(required=False)
    scheduled_at = serializers.DateTimeField(required=False, help_text="With an offset.")
    definition = DefinitionField(
        required=False, help_text="Instead of the draft: one that is not saved."
    )
    overrides = serializers.DictField(
        child=TextField(max_length=4096, allow_blank=True),
        required=False,
        help_text="Values instead of the task's own, written as these are.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("data_date" in attrs) == ("scheduled_at" in attrs):
            message = _("Give either a data date or a planned time.")
            raise serializers.ValidationError({"data_date": [message]})
        for name in ("data_date", "scheduled_at"):
            moment = attrs.get(name)
            day = moment.date() if isinstance(moment, datetime) else moment
            if day is not None and not FIRST_DATE <= day <= LAST_DATE:
                raise serializers.ValidationError({name: [_not_between()]})
        return attrs


def read_owner_ids(project_id: int, names: Iterable[str]) -> list[int]:
    """Return the ids of the users who may own in the project; raise Invalid at `owners.<n>`."""
    wanted = list(dict.fromkeys(names))
    found = dict(
        possible_owners(project_id).filter(username__in=wanted).values_list("username", "pk")
    )
    message = _("“{name}” is not a member of this project.")
    faults = [
        (f"owners.{index}", message.format(name=name))
        for index, name in enumerate(wanted)
        if name not in found
    ]
    if faults:
        raise Invalid.from_pairs(faults)
    return [found[name] for name in wanted]


def read_instant(text: str, field: str) -> datetime:
    """Return an instant from a query parameter; raise Invalid at `field`."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        message = _("Must be a time such as {example}.").format(example="2026-01-31T05:00:00Z")
        raise Invalid.from_pairs([(field, message)])
    if not FIRST_DATE <= instant.date() <= LAST_DATE:
        raise Invalid.from_pairs([(field, _not_between())])
    return instant.astimezone(UTC)


def _not_between() -> str:
    return _("Must be between {first} and {last}.").format(first=FIRST_DATE, last=LAST_DATE)
