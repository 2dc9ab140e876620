"""Finding tasks by the names that definitions use: `[[project/]workflow/]task` (T12).

A task of another project is found only by who sees that project: to everybody else its name means
nothing, and no answer tells a hidden task from a missing one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from django.db import connection

from projects.access import Actor, projects_lacking
from projects.roles import Right


@dataclass(frozen=True, slots=True)
class Place:
    """Where a reference is written: names are looked up from there."""

    project_id: int
    project: str
    workflow: str

    def full_name(self, reference: str) -> tuple[str, str, str]:
        """Return (project, workflow, task) of a reference of one to three parts."""
        parts = reference.split("/")
        project, workflow = self.project, self.workflow
        if len(parts) == 3:
            project, workflow = parts[0], parts[1]
        elif len(parts) == 2:
            workflow = parts[0]
        return project, workflow, parts[-1]


@dataclass(frozen=True, slots=True)
class FoundTask:
    """A task that a reference names."""

    id: int
    project_id: int
    status: str


def find_tasks(
    references: Iterable[tuple[Place, str]], *, actor: Actor, in_force: Collection[int] = ()
) -> dict[tuple[Place, str], FoundTask]:
    """Return the task of each (place, reference); those that do not exist for `actor` are absent.

    in_force: upstream tasks that are waited for already. Who made it so saw them, and they are
    found: what is in force may be kept by who does not see it.

    Two queries at most, however many references there are.
    """
    full_names = {(place, name): place.full_name(name) for place, name in references}
    if not full_names:
        return {}
    wanted = sorted(set(full_names.values()))
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT wanted.project, wanted.workflow, wanted.task, task.id, project.id, task.status
            FROM unnest(%s::text[], %s::text[], %s::text[]) AS wanted (project, workflow, task)
            JOIN projects_project AS project ON project.name = wanted.project
            JOIN workflows_workflow AS workflow
              ON workflow.project_id = project.id AND workflow.name = wanted.workflow
            JOIN workflows_task AS task
              ON task.workflow_id = workflow.id AND task.name = wanted.task
            """,
            [list(column) for column in zip(*wanted, strict=True)],
        )
        found = {tuple(row[:3]): FoundTask(row[3], row[4], row[5]) for row in cursor.fetchall()}
    at_home = {place.project_id for place, _ in full_names}
    hidden = projects_lacking(
        actor, {task.project_id for task in found.values()} - at_home, Right.VIEW
    )
    return {
        key: found[full_name]
        for key, full_name in full_names.items()
        if full_name in found
        and (found[full_name].project_id not in hidden or found[full_name].id in in_force)
    }
