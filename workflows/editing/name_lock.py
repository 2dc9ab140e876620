"""One at a time gives out names in a project, so that a name found free stays free."""

from __future__ import annotations

from projects.models import Project


def lock_names(project_id: int) -> None:
    """Hold others' new names of folders, workflows and tasks off until the transaction ends.

    Rows that refer to the project are written as ever: only who asks for this lock waits.
    """
    # The value is of no interest; evaluating the query takes the lock.
    list(Project.objects.select_for_update(no_key=True).filter(pk=project_id).values_list("pk"))
