"""Projects and what belongs to them."""

from __future__ import annotations

from projects.models import DataSource, Project, ResourceGroup
from tests.factories.naming import fresh


def make_project(name: str = "", **fields: object) -> Project:
    """Make a project, in UTC unless told otherwise."""
    return Project.objects.create(name=name or fresh("project"), **fields)


def make_resource_group(
    name: str = "", *, slots: int = 8, projects: tuple[Project, ...] = (), **fields: object
) -> ResourceGroup:
    """Make a resource group; with `projects`, attached to them."""
    group = ResourceGroup.objects.create(name=name or fresh("group"), slots=slots, **fields)
    group.projects.set(projects)
    return group


def make_data_source(
    project: Project, name: str = "", url: str = "sqlite://", password: str = ""
) -> DataSource:
    """Make a data source."""
    return DataSource.objects.create(
        project=project, name=name or fresh("source"), url=url, password=password
    )
