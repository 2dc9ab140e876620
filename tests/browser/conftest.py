"""A real browser against a real server; every page is watched for errors while it is used."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, Page, expect

from tests.api.world import World, make_world
from tests.browser.chromium import find_chromium, start_chromium

# Milliseconds; only a test that fails takes them. Five seconds are the default of `expect`.
PATIENCE = 60_000
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser; without one the tests are skipped, in CI they fail."""
    path = find_chromium()
    if path is None:
        message = "no chromium is installed (Debian: apt-get install chromium)"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    with pytest.MonkeyPatch.context() as patch:
        # The browser's event loop runs in this thread; the tests themselves are not async.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        with start_chromium(path) as browser:
            yield browser


@pytest.fixture(autouse=True)
def nudges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tell no worker to expand plans."""
    monkeypatch.setattr("backfill.running.nudging.nudge", lambda name, **options: None)


@pytest.fixture
def world(transactional_db: None) -> World:
    """A project with one of everything, and a second one beside it; everybody may log in."""
    made = make_world()
    get_user_model().objects.update(is_staff=True)
    return made


class Watched:
    """A page, and what went wrong on it. `url` makes addresses below /admin/."""

    def __init__(self, page: Page, base: str) -> None:
        self.page = page
        self.base = base
        self.faults: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.faults.append(error.stack or str(error)))
        page.on("request", self._request)
        page.on("response", self._response)

    def open(self, path: str = "") -> Page:
        """Open a page of the admin."""
        self.page.goto(f"{self.base}/admin/{path}")
        return self.page

    def _console(self, message: Any) -> None:
        if message.type == "error":
            self.faults.append(message.text)

    def _request(self, request: Any) -> None:
        if not request.url.startswith((self.base, "data:", "blob:")):
            self.faults.append(f"asked outside: {request.url}")

    def _response(self, response: Any) -> None:
        if response.status >= 400:
            self.faults.append(f"{response.status} {response.url}")


@pytest.fixture
def browse(
    chromium: Browser, live_server: Any, world: World
) -> Iterator[Callable[[User], Watched]]:
    """Return a page in which the user is logged in; at the end nothing may have gone wrong."""
    opened: list[Watched] = []

    def browse_as(user: User) -> Watched:
        client = Client()
        client.force_login(get_user_model().objects.get(pk=user.pk))
        context = chromium.new_context(viewport={"width": 1600, "height": 1000})
        cookie = client.cookies["sessionid"]
        context.add_cookies([{"name": "sessionid", "value": cookie.value, "url": live_server.url}])
        watched = Watched(context.new_page(), live_server.url)
        watched.page.set_default_timeout(PATIENCE)
        opened.append(watched)
        return watched

    yield browse_as
    faults = [fault for watched in opened for fault in watched.faults]
    for watched in opened:
        watched.page.context.close()
    assert not faults, "\n".join(faults)


@pytest.fixture
def operator(world: World, browse: Callable[[User], Watched]) -> Watched:
    """The admin as an operator of the project uses it."""
    return browse(world.users["operator"])
