"""What tests of the admin share: the world of the API's tests, seen through the browser's eyes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.test import Client

from instances.models import Instance
from instances.states import State
from tests.admin.browsing import Browser
from tests.api.world import World, make_world
from tests.support.standing import standing


@pytest.fixture(autouse=True)
def nudges(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The messages that would have told a worker to expand plans."""
    listed: list[str] = []
    monkeypatch.setattr(
        "backfill.running.nudging.nudge",
        lambda name, **options: listed.append(name),
    )
    return listed


def make_staffed_world() -> World:
    """Make the world of the API's tests, in which everybody may log in and nothing has run."""
    made = make_world()
    get_user_model().objects.update(is_staff=True)
    for place in (made.place, made.elsewhere):
        for instance in (place.first, place.instance):
            Instance.objects.filter(pk=instance.pk).update(state=State.NOT_RUN)
            instance.refresh_from_db()
    return made


@pytest.fixture(scope="module")
def standing_world(django_db_setup: None, django_db_blocker: Any) -> Iterator[World]:
    """The world of a module's tests."""
    with standing(django_db_blocker, make_staffed_world) as world:
        yield world


@pytest.fixture
def world(standing_world: World, db: None) -> World:
    """A project with one of everything, and a second one beside it; everybody may log in."""
    return deepcopy(standing_world)


@pytest.fixture
def browse(world: World) -> Callable[[User], Browser]:
    """Return a browser in which the user is logged in."""

    def browse_as(user: User) -> Browser:
        client = Client()
        client.force_login(get_user_model().objects.get(pk=user.pk))
        return Browser(client)

    return browse_as


@pytest.fixture
def operator(world: World, browse: Callable[[User], Browser]) -> Browser:
    """The admin as an operator of the project sees it."""
    return browse(world.users["operator"])


@pytest.fixture
def viewer(world: World, browse: Callable[[User], Browser]) -> Browser:
    """The admin as a viewer of the project sees it."""
    return browse(world.users["viewer"])


@pytest.fixture
def root(world: World, browse: Callable[[User], Browser]) -> Browser:
    """The admin as a superuser sees it."""
    return browse(world.superuser)
