"""What a workflow file says, as values: parsing it, and the mapping that is written back. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from projects.ground.fields.faults import unknown_key
from projects.ground.fields.reader import FieldReader
from workflows.bundles.problems import BundleError, BundleProblem
from workflows.bundles.reading import Document, read_documents
from workflows.definitions.definition import FIELDS, DefinitionError, TaskDefinition
from workflows.editing.names import check_name, check_path
from workflows.schedules.local_time import is_time_zone

FORMAT = 1
MAX_TASKS = 10_000
MAX_DESCRIPTION_LENGTH = 10_000

WORKFLOW_FIELDS = (
    "tidemill",
    "workflow",
    "folder",
    "description",
    "time_zone",
    "owners",
    "tasks",
)
TASK_FIELDS = ("name", *FIELDS)


@dataclass(frozen=True, slots=True)
class TaskBundle:
    """A task of a file: its name and its definition's mapping, in normal form."""

    name: str
    draft: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowBundle:
    """A workflow of a file. `owners` are user names; None where the file does not say."""

    name: str
    folder: str = ""
    description: str = ""
    time_zone: str = ""
    owners: tuple[str, ...] | None = None
    tasks: tuple[TaskBundle, ...] = ()
    filename: str = field(default="", compare=False)
    document: Document | None = field(default=None, compare=False, repr=False)

    def to_mapping(self) -> dict[str, Any]:
        """Return the normal form of the file: what is empty is left out."""
        found: dict[str, Any] = {"tidemill": FORMAT, "workflow": self.name}
        for name in ("folder", "description", "time_zone"):
            if getattr(self, name):
                found[name] = getattr(self, name)
        if self.owners:
            found["owners"] = list(self.owners)
        found["tasks"] = [{"name": task.name, **task.draft} for task in self.tasks]
        return found

    def problem(self, path: str, message: str, *, task: int | None = None) -> BundleProblem:
        """Return the problem of a field, of the workflow or of its task number `task`."""
        place = path if task is None else f"tasks.{task}.{path}"
        shown = path if task is None else f"tasks.{self.tasks[task].name}.{path}"
        line = self.document.line_of(place) if self.document else 0
        return BundleProblem(self.filename, line, shown, message)


def parse_bundle(text: str, filename: str) -> list[WorkflowBundle]:
    """Read a file of one or more workflows; raise BundleError with everything that is wrong."""
    documents, faults = read_documents(text)
    problems = [BundleProblem(filename, one.line, one.field, one.message) for one in faults]
    bundles: list[WorkflowBundle] = []
    for document in documents:
        bundle, own = _read_workflow(document, filename)
        problems += own
        bundles.append(bundle)
    if not documents and not problems:
        problems.append(BundleProblem(filename, 1, "", _("The file holds no workflow.")))
    if problems:
        raise BundleError(sorted(problems, key=lambda problem: problem.line))
    return bundles


def _read_workflow(document: Document, filename: str) -> tuple[WorkflowBundle, list[BundleProblem]]:
    fields = FieldReader(document.data, WORKFLOW_FIELDS)
    if not isinstance(document.data, Mapping):
        problems = [BundleProblem(filename, document.line, "", one[1]) for one in fields.errors]
        return WorkflowBundle(name=""), problems
    if fields.raw("tidemill") != FORMAT:
        message = _("Must be {format}, the version of this file format.")
        fields.refuse("tidemill", message.format(format=FORMAT))
    name = fields.text("workflow", required=True)
    if name:
        fields.errors += check_name(name, "workflow")
    folder = fields.text("folder")
    if folder:
        fields.errors += check_path(folder)
    time_zone = fields.text("time_zone")
    if time_zone and not is_time_zone(time_zone):
        message = _("“{zone}” is not a time zone such as Europe/Berlin.")
        fields.refuse("time_zone", message.format(zone=time_zone))
        time_zone = ""
    description = fields.text("description", max_length=MAX_DESCRIPTION_LENGTH)
    owners = _read_owners(fields)
    tasks, names = _read_tasks(fields, time_zone or "UTC")
    bundle = WorkflowBundle(
        name=name,
        folder=folder,
        description=description,
        time_zone=time_zone,
        owners=owners,
        tasks=tuple(tasks),
        filename=filename,
        document=document,
    )
    problems = [
        BundleProblem(filename, document.line_of(path), _shown(path, names), message)
        for path, message in fields.errors
    ]
    return bundle, problems


def _read_owners(fields: FieldReader) -> tuple[str, ...] | None:
    if fields.raw("owners") is None:
        return None
    found: list[str] = []
    for index, owner in enumerate(fields.sequence("owners", max_items=100)):
        if not isinstance(owner, str) or not owner:
            fields.refuse(f"owners.{index}", _("Must be a user name."))
        elif owner in found:
            fields.refuse(f"owners.{index}", _("“{name}” is named twice.").format(name=owner))
        else:
            found.append(owner)
    return tuple(sorted(found))


def _read_tasks(fields: FieldReader, time_zone: str) -> tuple[list[TaskBundle], dict[int, str]]:
    """Return the tasks, and the name of each by its place in the file, for messages."""
    tasks: list[TaskBundle] = []
    names: dict[int, str] = {}
    for index, item in enumerate(fields.sequence("tasks", max_items=MAX_TASKS)):
        path = f"tasks.{index}"
        if not isinstance(item, Mapping):
            fields.refuse(path, _("Must be a mapping of fields to values."))
            continue
        faults = list(_task_faults(item, set(names.values())))
        if isinstance(item.get("name"), str) and not check_name(item["name"]):
            names[index] = item["name"]
        definition = {key: value for key, value in item.items() if key in FIELDS}
        try:
            read = TaskDefinition.from_mapping(definition, time_zone=time_zone, with_marks=True)
        except DefinitionError as error:
            faults += error.errors
        else:
            tasks.append(TaskBundle(str(item.get("name")), read.to_mapping()))
        fields.errors += [(f"{path}.{where}", message) for where, message in faults]
    return tasks, names


def _task_faults(item: Mapping[str, Any], taken: set[str]) -> Iterator[tuple[str, str]]:
    for key in item:
        if key not in TASK_FIELDS:
            yield key, unknown_key(key, TASK_FIELDS)
    yield from check_name(item.get("name"))
    if item.get("name") in taken:
        message = _("There is a task “{name}” in this workflow already.")
        yield "name", message.format(name=item["name"])


def _shown(path: str, names: Mapping[int, str]) -> str:
    """Return a path with the task's name in the place of its number."""
    parts = path.split(".", 2)
    if parts[0] == "tasks" and len(parts) > 1 and parts[1].isdecimal():
        parts[1] = names.get(int(parts[1]), parts[1])
    return ".".join(parts)
