"""What tests of the admin share: the world of the API's tests, seen through the browser's eyes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.test import Client

from instances.models import Instance
from instances.states import State
from tests.admin.browsing import Browser
from tests.api.world import World, make_world


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
    """A project with one of everything, and a second one beside it; everybody may log in."""
    made = make_world()
    get_user_model().objects.update(is_staff=True)
    for place in (made.place, made.elsewhere):
        for instance in (place.first, place.instance):
            Instance.objects.filter(pk=instance.pk).update(state=State.NOT_RUN)
            instance.refresh_from_db()
    return made


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
