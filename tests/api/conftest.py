"""What tests of the API share."""

from __future__ import annotations

import pytest
from django.core.cache import cache

from tests.api.caller import Caller
from tests.api.world import World, make_world


@pytest.fixture(autouse=True)
def fresh_throttles() -> None:
    """Let no test run into the throttle of those before it."""
    cache.clear()


@pytest.fixture(autouse=True)
def nudges(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The messages that would have told a worker to expand plans."""
    listed: list[str] = []
    monkeypatch.setattr(
        "backfill.nudging.current_app.send_task", lambda name, **options: listed.append(name)
    )
    return listed


@pytest.fixture
def world(db: None) -> World:
    """A project with one of everything, and a second one beside it."""
    return make_world()


@pytest.fixture
def admin(world: World) -> Caller:
    """The API as the project's administrator sees it."""
    return Caller(world.users["administrator"])
