"""Pages and answers in the reader's language: chosen in the user menu, or as the browser asks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import unfold
from django.test import Client
from django.utils import translation
from django.utils.translation import gettext

from projects.console.unfold_words import WORDS
from projects.ground.words import thousands
from tests.admin.browsing import Browser, Page
from tests.api.world import World

CHINESE = {"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.5"}
LISTS = (
    "index",
    "instances_instance_changelist",
    "backfill_plan_changelist",
    "backfill_plan_add",
    "workflows_task_changelist",
    "workflows_workflow_changelist",
    "workflows_workflow_import",
    "projects_operation_changelist",
    "projects_project_changelist",
    "projects_project_add",
    "auth_user_changelist",
    "password_change",
)

pytestmark = pytest.mark.feature("U10")


@pytest.fixture(autouse=True)
def own_language() -> Iterator[None]:
    """Leave no language to the tests after these: a request goes on in the test's own thread."""
    yield
    translation.deactivate()


def in_chinese(text: str) -> str:
    """Return what Django's own catalogue says for it."""
    with translation.override("zh-hans"):
        told = gettext(text)
    assert told != text
    return told


def choose(browser: Browser, language: str, at: str = "/admin/") -> Page:
    """Choose a language in the user menu of a page."""
    data = {"language": language}
    return Page(browser.client.post("/language/", data, headers={"referer": at}, follow=True))


def test_the_switch_changes_the_language_and_keeps_it(world: World, operator: Browser) -> None:
    address = f"/admin/workflows/task/{world.place.up.pk}/change/"
    assert "Log out" in Page(operator.client.get(address)).text

    page = choose(operator, "zh-hans", at=address)
    assert page.response.redirect_chain[0][0] == address
    for one in (page, operator.get("index"), operator.get("instances_instance_changelist")):
        assert one.response["Content-Language"] == "zh-hans"
        assert re.search(r'<html[^>]* lang="zh-hans"', one.html)
        assert in_chinese("Log out") in one.text and "Log out" not in one.text

    # The choice outweighs what the browser asks for, and the session's end.
    operator.post("logout")
    login = operator.client.get("/admin/login/", headers={"Accept-Language": "en"})
    assert in_chinese("Log in") in Page(login).text
    choose(operator, "en")
    assert "Log in" in Page(operator.client.get("/admin/login/", headers=CHINESE)).text


def test_every_page_has_the_switch(world: World, root: Browser) -> None:
    place = world.place
    pages = {name: root.get(name) for name in LISTS}
    pages["task"] = root.get("workflows_task_change", place.up.pk)
    pages["workflow"] = root.get("workflows_workflow_change", place.workflow.pk)
    pages["instance"] = root.get("instances_instance_change", place.instance.pk)
    pages["plan"] = root.get("backfill_plan_change", place.plan.pk)
    pages["confirmation"] = root.get("instances_instance_operate", "rerun", ids=place.instance.pk)
    pages["nowhere"] = Page(root.client.get("/admin/nowhere/"))
    without = [
        name
        for name, page in pages.items()
        if re.findall(r'name="language" type="hidden" value="([^"]+)"', page.html)
        != ["en", "zh-hans"]
        or 'action="/language/"' not in page.html
    ]
    assert without == []


def test_the_login_page_follows_the_browser(db: None) -> None:
    for headers, told in (
        ({}, "Log in"),
        ({"Accept-Language": "fr"}, "Log in"),
        (CHINESE, in_chinese("Log in")),
    ):
        page = Page(Client().get("/admin/login/", headers=headers))
        assert told in page.text
        assert page.response["Vary"].find("Accept-Language") >= 0


def test_the_api_says_details_in_the_clients_language_and_codes_in_english(db: None) -> None:
    detail = "Authentication credentials were not provided."
    for headers, told in (({}, detail), (CHINESE, in_chinese(detail))):
        answer = Client().get("/api/v1/projects/", headers=headers)
        assert answer.status_code == 401
        assert answer.json() == {"code": "not_authenticated", "detail": told, "fields": {}}


def test_numbers_follow_the_language() -> None:
    assert thousands(1_234_567) == "1,234,567"
    with translation.override("zh-hans"):
        assert thousands(1_234_567) == "1234567"


def test_the_words_taken_over_from_unfold_are_what_it_says() -> None:
    root = Path(str(unfold.__file__)).parent
    sources = [*root.rglob("*.html"), *root.rglob("*.py")]
    # Long texts stand in Python in several pieces.
    said = re.sub(r"""["']\s+["']""", "", "\n".join(one.read_text() for one in sources))
    quoted = "[\"']"
    assert [word for word in WORDS if not re.search(quoted + re.escape(word) + quoted, said)] == []
