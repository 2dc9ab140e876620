"""What tests of the API share."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from django.core.cache import cache

from tests.api.caller import Caller
from tests.api.world import World, make_world
from tests.support.standing import standing


@pytest.fixture(autouse=True)
def fresh_throttles() -> None:
    """Let no test run into the throttle of those before it."""
    cache.clear()


@pytest.fixture(autouse=True)
def nudges(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The messages that would have told a worker to expand plans."""
    listed: list[str] = []
    monkeypatch.setattr(
        "backfill.running.nudging.nudge",
        lambda name, **options: listed.append(name),
    )
    return listed


@pytest.fixture(scope="module")
def standing_world(django_db_setup: None, django_db_blocker: Any) -> Iterator[World]:
    """The world of a module's tests."""
    with standing(django_db_blocker, make_world) as world:
        yield world


@pytest.fixture
def world(standing_world: World, db: None) -> World:
    """A project with one of everything, and a second one beside it."""
    return deepcopy(standing_world)


@pytest.fixture
def admin(world: World) -> Caller:
    """The API as the project's administrator sees it."""
    return Caller(world.users["administrator"])
