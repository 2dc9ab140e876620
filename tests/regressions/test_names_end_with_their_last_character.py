"""A line's end behind a name is no part of it that nobody sees: it is refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.caller import Caller
from tests.api.world import World

pytestmark = [pytest.mark.django_db, pytest.mark.feature("P4")]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("projects/", {"name": "new"}),
        ("resource-groups/", {"name": "new", "kind": "shared", "slots": 1}),
        ("data-sources/", {"name": "new", "url": "sqlite://"}),
    ],
)
def test_a_name_that_ends_with_a_line(world: World, path: str, body: dict[str, Any]) -> None:
    if path == "data-sources/":
        body = {**body, "project": world.place.project.pk}
    root = Caller(world.superuser)
    assert list(root.post(path, {**body, "name": "new\n"}, 400)["fields"]) == ["name"]
    assert root.post(path, body, 201)["name"] == "new"
