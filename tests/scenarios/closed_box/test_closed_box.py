"""Of a neighbour in another project a reader learns its id, and nothing else, anywhere (P2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.api.caller import Caller
from tests.api.routes import operations_of_schema
from tests.scenarios.closed_box.conftest import Look
from tests.scenarios.closed_box.looking import (
    LEFT_ALONE,
    Answers,
    _pages,
    look_at_api,
    look_at_pages,
)
from tests.scenarios.closed_box.neighbourhood import MARKS, STEM, Neighbourhood, turn_over

pytestmark = [pytest.mark.django_db, pytest.mark.feature("P2")]

Seen = Callable[[Look], Answers]


@pytest.fixture(params=[look_at_api, look_at_pages], ids=["api", "pages"])
def look(request: pytest.FixtureRequest) -> Look:
    """A look at all of the API, or at all pages."""
    return request.param


def test_no_answer_has_a_mark_of_the_hidden_project(
    hood: Neighbourhood, look: Look, seen: Seen
) -> None:
    """Names, times, counts, and whatever lies behind the neighbour."""
    leaks = [
        (address, what, text[max(0, found.start() - 60) : found.end() + 40])
        for address, text in seen(look).items()
        for what, mark in hood.marks().items()
        if (found := mark.search(text))
    ]
    assert leaks == [], "\n".join(map(str, leaks))


def test_whatever_changes_in_the_hidden_project_changes_no_answer(
    hood: Neighbourhood, look: Look, seen: Seen
) -> None:
    """What has no mark of its own, such as a state, would show here."""
    before = seen(look)
    turn_over(hood)
    after = look(hood)
    changed = [
        (address, _first_difference(before[address], after.get(address, "")))
        for address in before
        if before[address] != after.get(address)
    ]
    assert changed == [], "\n".join(map(str, changed))
    assert before.keys() == after.keys()


def test_the_marks_are_there_to_be_seen(hood: Neighbourhood, look: Look) -> None:
    """Who sees both projects finds every mark: a look that finds nothing looked at something."""
    hood.reader = hood.root
    texts = list(look(hood).values())
    assert {what for what, mark in MARKS.items() if any(map(mark.search, texts))} == set(MARKS)


def test_every_page_was_opened(hood: Neighbourhood, seen: Seen) -> None:
    opened = {address.split(" ")[0] for address in seen(look_at_pages)}
    names = {name for name, _ in _pages()}
    # What leads elsewhere, only takes a form, or is not an administrator's of a project.
    elsewhere = {
        name
        for name in names
        if name.endswith(("_history", "_submit", "_file", "login"))
        or name.startswith("auth_user")
        or name in ("autocomplete", "backfill_plan_downstream", "instances_instance_add")
    }
    assert names - opened - elsewhere - LEFT_ALONE.keys() == set()


# Filters by the id of a neighbour: that much is known.
_KNOWN = {"task", "upstream", "downstream", "plan", "batch"}


def test_no_filter_tells_what_is_hidden(hood: Neighbourhood) -> None:
    """A hidden name, project or folder finds what one finds that there never was."""
    caller = Caller(hood.reader)
    told = []
    for method, path, operation in operations_of_schema():
        if method != "GET" or "{" in path:
            continue
        for parameter in operation.get("parameters", ()):
            name = parameter["name"]
            if parameter["in"] != "query" or name in _KNOWN:
                continue
            for hidden, never in _values(hood, path, name, parameter["schema"]):
                answers = [
                    _rows(caller.call("GET", f"{path}?{name}={value}")) for value in (hidden, never)
                ]
                if answers[0] != answers[1]:
                    told.append((path, name, hidden, answers))
    assert told == []


def _values(hood: Neighbourhood, path: str, name: str, schema: Any) -> list[tuple[Any, Any]]:
    never = 999_999_999
    ids = {
        "project": hood.hidden.pk,
        "workflow": hood.workflow.pk,
        "folder": hood.folder.pk,
        "parent": hood.folder.pk,
        "instance": hood.source.instances.order_by("pk").values_list("pk", flat=True).first(),
        "id": {"tasks": hood.source.pk, "backfills": hood.plans[0].pk}.get(path.split("/")[0]),
    }
    if ids.get(name) is not None:
        return [(ids[name], never)]
    kind = schema.get("items", schema)
    if kind.get("type") == "string" and "enum" not in kind and "format" not in kind:
        texts = (STEM, hood.source.name, hood.workflow.name, hood.hidden.name, hood.owner.username)
        return [(text, "never-there") for text in texts]
    return []


def _rows(response: Any) -> Any:
    """The rows found, or that there is something wrong with the value."""
    data = response.json()
    return data.get("results", data.get("total", response.status_code))


def _first_difference(one: str, other: str) -> tuple[str, str]:
    at = next(
        (index for index, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )
    return one[max(0, at - 80) : at + 60], other[max(0, at - 80) : at + 60]
