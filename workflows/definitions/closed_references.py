"""Names of upstream tasks, for those who do not see their projects (T12, P2).

A definition names what it waits for. For a reader a name in a project that they do not see is a
mark: "//77" with the task's id where the dependency is in force, "//x" and a digest anywhere else,
so that no mark tells whether there is such a task. A mark is no name: nothing else can mean it.
Who writes it back keeps what stands there. A name in such a project is refused when it is written,
for otherwise trying names would find those that exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from projects.access import Actor, projects_with, sight
from workflows.definitions.definition import MARK, DefinitionError
from workflows.models import Dependency, Task

_BEGINNING = "//"  # no project and no workflow
_SALT = "tidemill.closed_reference"
_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Cover:
    """What a reader sees of names. projects: by name; None: all of them.

    in_force: of the tasks it was made for, {(task, name): upstream id} of what they wait for in
    projects that the reader does not see.
    """

    projects: frozenset[str] | None = None
    in_force: Mapping[tuple[int, str], int] = field(default_factory=dict)

    def hides(self, name: str) -> bool:
        """Return whether a name in a definition is kept from the reader."""
        if self.projects is None or MARK.fullmatch(name):
            return False
        parts = name.split("/")
        return len(parts) == 3 and parts[0] not in self.projects

    def shown(self, task_id: int, name: str) -> str:
        """Return the name, or the mark that stands for it in definitions of the task."""
        if not self.hides(name):
            return name
        known = self.in_force.get((task_id, name))
        if known is not None:
            return f"{_BEGINNING}{known}"
        digest = salted_hmac(_SALT, f"{task_id}/{name}", algorithm="sha256").hexdigest()
        return f"{_BEGINNING}x{digest[:_DIGITS]}"

    def covered(self, task_id: int, definition: Mapping[str, Any]) -> dict[str, Any]:
        """Return a definition of the task as the reader may see it."""
        return _renamed(definition, lambda name: self.shown(task_id, name))

    def uncovered(
        self, definition: object, *, task_id: int | None, stored: Iterable[Mapping[str, Any]] = ()
    ) -> Any:
        """Return what somebody wrote with the names that its marks stand for.

        stored: the definitions of the task that there are. Anything that is no definition comes
        back as it is. Raises DefinitionError at names that the writer may not see.
        """
        if self.projects is None or not isinstance(definition, Mapping):
            return definition
        meant = {
            self.shown(task_id, name): name
            for one in stored
            for _, name in _names(one)
            if task_id is not None and self.hides(name)
        }
        message = _("There is no task “{name}” in your projects.")
        faults = [
            (f"depends_on.{index}", message.format(name=name))
            for index, name in _names(definition)
            if self.hides(name)
        ]
        if faults:
            raise DefinitionError(faults)
        return _renamed(definition, lambda name: meant.get(name, name))


def cover_for(actor: Actor, task_ids: Iterable[int]) -> Cover:
    """Return what the actor sees of the names in definitions of the tasks; three queries."""
    eyes = sight(actor)
    if eyes.projects is None:
        return Cover()
    rows = Dependency.objects.filter(downstream__in=list(task_ids)).exclude(
        upstream__project__in=eyes.projects
    )
    columns = ("upstream__project__name", "upstream__workflow__name", "upstream__name")
    return Cover(
        frozenset(projects_with(actor).values_list("name", flat=True)),
        {
            (task_id, "/".join(name)): upstream
            for task_id, upstream, *name in rows.order_by().values_list(
                "downstream_id", "upstream_id", *columns
            )
        },
    )


def stored_definitions(task: Task) -> list[Mapping[str, Any]]:
    """Return the definitions of the task whose marks may be written back."""
    in_force = [task.version.definition] if task.version is not None else []
    return [task.draft, *in_force]


def _names(definition: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    items = definition.get("depends_on")
    for index, item in enumerate(items if isinstance(items, list | tuple) else ()):
        name = item.get("task") if isinstance(item, Mapping) else item
        if isinstance(name, str):
            yield index, name


def _renamed(definition: Mapping[str, Any], rename: Callable[[str], str]) -> dict[str, Any]:
    found = dict(definition)
    new = {index: rename(name) for index, name in _names(definition)}
    if new:
        found["depends_on"] = [
            item
            if index not in new
            else {**item, "task": new[index]}
            if isinstance(item, Mapping)
            else new[index]
            for index, item in enumerate(definition["depends_on"])
        ]
    return found
