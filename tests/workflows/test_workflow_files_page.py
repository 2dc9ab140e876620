"""docs/workflow-files.md says what the product does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from workflows.bundles.exporting import write_bundle
from workflows.bundles.schema import TASK_FIELDS, WORKFLOW_FIELDS, parse_bundle
from workflows.definitions.task_types import task_types
from workflows.schedules import Cycle

PAGE = Path(__file__).parents[2] / "docs" / "workflow-files.md"


@pytest.fixture
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_the_example_is_a_file_in_its_normal_form(page: str) -> None:
    [example] = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    [bundle] = parse_bundle(example, "example.yaml")
    assert write_bundle(bundle) == example


def test_every_field_cycle_and_setting_is_described(page: str) -> None:
    words = {*WORKFLOW_FIELDS, *TASK_FIELDS, *(cycle.value for cycle in Cycle)}
    for task_type in task_types().values():
        words |= {task_type.name, *(field.name for field in task_type.config)}
    assert [word for word in sorted(words) if f"`{word}`" not in page] == []
