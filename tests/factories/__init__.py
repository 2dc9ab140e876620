"""Rows for tests, made by the product's own verbs: plain functions with usable defaults.

workflow = make_workflow()
load = make_submitted_task("load", workflow=workflow, schedule={"cycle": "hour", "every": 1})
report = make_submitted_task("report", workflow=workflow, depends_on=["load"])
"""

from __future__ import annotations

from tests.factories.definitions import (
    make_folder,
    make_submitted_task,
    make_submitted_tasks,
    make_task,
    make_workflow,
    mapping,
)
from tests.factories.people import make_member, make_superuser, make_user
from tests.factories.resources import make_data_source, make_project, make_resource_group

__all__ = [
    "make_data_source",
    "make_folder",
    "make_member",
    "make_project",
    "make_resource_group",
    "make_submitted_task",
    "make_submitted_tasks",
    "make_superuser",
    "make_task",
    "make_user",
    "make_workflow",
    "mapping",
]
