"""Ctrl-K finds pages and objects of the user's projects by a part of their name."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from config.console.palette import KINDS, MOST_OF_A_KIND
from tests.admin.browsing import Browser
from tests.api.world import World
from tests.factories import make_workflow

pytestmark = pytest.mark.django_db


def test_each_kind_of_object_is_found_by_its_name(world: World, operator: Browser) -> None:
    place = world.place
    for term, described in {
        place.up.name: f"Task of {place.workflow.name}",
        place.workflow.name: "Workflow of",
        place.expanded.name: "Backfill plan of",
        str(place.instance.pk): f"Instance #{place.instance.pk}: not run",
        place.project.name: "Project",
    }.items():
        found = operator.get("search", s=term, extended=1)
        assert found.status == 200
        assert described in found.text, term


def test_pages_are_found(operator: Browser) -> None:
    assert "Resource groups Page" in operator.get("search", s="resource").text


def test_who_finds_nothing_is_told(operator: Browser) -> None:
    found = operator.get("search", s="<no such thing>")
    assert "Nothing has “<no such thing>” in its name." in found.text
    assert "<no such" not in found.html


@pytest.mark.feature("P2")
def test_nothing_of_a_foreign_project_is_found(
    world: World, operator: Browser, browse: Callable[[User], Browser]
) -> None:
    there = world.elsewhere
    for shown in (there.workflow.name, there.project.name, there.expanded.name):
        assert "Nothing has" in operator.get("search", s=shown).text
    assert "Instance #" not in operator.get("search", s=str(there.instance.pk)).text


def test_what_is_found_is_bounded_and_so_are_the_questions(world: World, operator: Browser) -> None:
    for number in range(2 * MOST_OF_A_KIND):
        make_workflow(name=f"many-{number}", project=world.place.project)
    operator.get("search", s="many")
    with CaptureQueriesContext(connection) as captured:
        assert operator.get("search", s="many").text.count("Workflow of") == MOST_OF_A_KIND
    assert len(captured) <= len(KINDS) + 2


def test_what_no_search_understands_finds_nothing(operator: Browser) -> None:
    for term in ("9" * 40, "a|" * 60, "\x00", "'"):
        assert operator.get("search", s=term).status == 200
