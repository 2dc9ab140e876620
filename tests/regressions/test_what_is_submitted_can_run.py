"""Submission and runner judge a task's settings by the same fields: what passes one passes both."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.caller import Caller
from tests.api.world import World

pytestmark = [pytest.mark.django_db, pytest.mark.feature("T10")]


@pytest.mark.parametrize(
    ("task_type", "config", "field"),
    [
        ("python", {"arguments": ["--day", 7]}, "arguments.1"),
        ("http", {"url": "ftp://x/"}, "url"),
        ("http", {"url": "http://x/", "headers": {"A B": "x"}}, "headers.A B"),
        ("http", {"url": "http://x/", "headers": {"A": "x\ny"}}, "headers.A"),
    ],
)
def test_settings_that_no_runner_takes_are_refused_before_they_are_submitted(
    world: World, task_type: str, config: dict[str, Any], field: str
) -> None:
    definition = {
        "type": task_type,
        "code": "" if task_type == "http" else "x = 1",
        "config": config,
        "schedule": {"cycle": "day", "at": "02:00"},
    }
    body = {"workflow": world.place.workflow.pk, "name": "new", "definition": definition}
    answer = Caller(world.superuser).post("tasks/", body, 400)
    assert list(answer["fields"]) == [f"definition.config.{field}"]
