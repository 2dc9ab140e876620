"""Whatever is sent, the answer is a refusal in the one shape: never an error of the server."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from tests.api.caller import Caller
from tests.api.routes import ROUTES, Route, operations_of_schema
from tests.api.world import World

pytestmark = [pytest.mark.django_db, pytest.mark.feature("P4")]

TAKING = [route for route in ROUTES if route.method in ("POST", "PATCH")]
LISTS = [
    *(route for route in ROUTES if route.is_list and route.path != "me/"),
    *(route for route in ROUTES if route.path in ("backfills/{expanded}/cells/",)),
]

NASTY = [
    None,
    True,
    0,
    -1,
    1.5,
    1e308,
    2**31,
    2**63,
    2**70,
    "",
    " ",
    "x",
    "\x00",
    "a\x00b",
    "\ud800",
    "‮",
    "9" * 400,
    "x" * 20_000,
    "2026-02-30",
    "0001-01-01",
    "9999-12-31T23:59:59+14:00",
    "${",
    "$[yyyy-99999999999999]",
    "../../etc/passwd",
    [],
    {},
    [[]],
    [None],
    [{}],
    ["\x00"],
    [2**70],
    {"a": {"b": {"c": [1]}}},
    {"\x00": 1},
    {"\ud800": "\ud800"},
]
nasty = st.sampled_from(NASTY) | st.text(max_size=8) | st.integers() | st.floats(allow_nan=False)


def places_in(body: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value in a body."""
    if path:
        yield path
    items: Any = ()
    if isinstance(body, dict):
        items = body.items()
    elif isinstance(body, list):
        items = enumerate(body)
    for key, value in items:
        yield from places_in(value, (*path, key))


@st.composite
def spoilt(draw: st.DrawFn, body: Any) -> Any:
    """A good body with one value that is not, with a field too many, or something else."""
    places = list(places_in(body))
    if not places or draw(st.integers(0, 9)) == 0:
        return draw(nasty)
    body = copy.deepcopy(body)
    *way, last = draw(st.sampled_from(places))
    target = body
    for key in way:
        target = target[key]
    if isinstance(target, dict) and draw(st.integers(0, 4)) == 0:
        target[draw(st.sampled_from(["extra", "id", "\x00", "\ud800", ""]))] = draw(nasty)
    else:
        target[last] = draw(nasty)
    return body


def check(response: Any) -> None:
    assert response.status_code < 500, response.content[:2000]
    if response.status_code >= 400:
        data = json.loads(response.content)
        assert set(data) == {"code", "detail", "fields"}, data
        assert data["code"] and data["detail"], data
        assert all(isinstance(messages, list) for messages in data["fields"].values())


@examples(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_body_breaks_the_server(world: World, data: st.DataObject) -> None:
    route: Route = data.draw(st.sampled_from(TAKING))
    body = data.draw(spoilt(route.body(world.place)))
    caller = Caller(world.superuser)
    with transaction.atomic():
        check(caller.call(route.method, route.address(world.place), body))
        transaction.set_rollback(True)


@examples(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_query_breaks_the_server(world: World, data: st.DataObject) -> None:
    route: Route = data.draw(st.sampled_from(LISTS))
    caller = Caller(world.superuser)
    names = ["page", "page_size", "cursor", "ordering", "extra", *filter_names(caller, route)]
    query = {
        name: str(data.draw(nasty)).encode("utf-8", "replace")
        for name in data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=3))
    }
    with transaction.atomic():
        check(caller.client.get(f"/api/v1/{route.address(world.place)}", query))
        transaction.set_rollback(True)


def filter_names(caller: Caller, route: Route) -> list[str]:
    for method, path, operation in operations_of_schema():
        if (method, path) == (route.method, route.template):
            return [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"]
    raise AssertionError(route)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"null",
        b"1",
        b'"text"',
        b"[]",
        b'{"name": NaN}',
        b'{"name": 1' + b"0" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"name": "\\ud800"}',
    ],
    ids=lambda raw: raw[:12],
)
def test_no_text_that_is_no_json_breaks_the_server(world: World, raw: bytes) -> None:
    caller = Caller(world.superuser)
    for route in TAKING:
        with transaction.atomic():
            check(caller.call(route.method, route.address(world.place), raw or b" "))
            transaction.set_rollback(True)


@pytest.mark.parametrize(
    "path", ["tasks/abc/", "tasks/-1/", f"tasks/{2**70}/", "nowhere/", "tasks"]
)
def test_addresses_that_are_not_there_are_404_in_the_one_shape(world: World, path: str) -> None:
    answer = Caller(world.superuser).get(path, 404)
    assert answer["code"] == "not_found"


def test_a_body_that_is_too_large_is_refused_before_it_is_read(world: World, settings: Any) -> None:
    caller = Caller(world.superuser)
    response = caller.client.generic(
        "POST",
        "/api/v1/projects/",
        b"{}",
        content_type="application/json",
        headers={"Content-Length": str(settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)},
    )
    assert (response.status_code, response.json()["code"]) == (413, "too_large")


def test_other_kinds_of_body_and_methods_are_refused(world: World) -> None:
    caller = Caller(world.superuser)
    form = caller.client.generic("POST", "/api/v1/projects/", b"name=a", content_type="text/plain")
    assert (form.status_code, form.json()["code"]) == (415, "unsupported_media_type")
    assert caller.client.options("/api/v1/projects/").status_code == 405
    put = caller.call("PUT", f"tasks/{world.place.up.pk}/", {})
    assert (put.status_code, put.json()["code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize(
    "header", ["Token", "Token a b", "Token \xff\xfe", "Token nope", "Basic x"]
)
def test_a_broken_token_is_401(world: World, header: str) -> None:
    response = Caller().call("GET", "me/", Authorization=header)
    assert response.status_code == 401
    assert set(response.json()) == {"code", "detail", "fields"}


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("instances/?state=FOO", "state"),
        ("instances/?state=FAILED&state=FOO", "state"),
        ("instances/?stat=FAILED", "stat"),
        ("instances/?task=x", "task"),
        ("instances/?task=1e3", "task"),
        (f"instances/?task={2**70}", "task"),
        ("instances/?data_time_from=yesterday", "data_time_from"),
        ("instances/?data_time_from=2026-01-01T00:00:00Z", "data_time_from"),
        ("instances/?scheduled_from=2026-13-01", "scheduled_from"),
        ("instances/?ordering=password", "ordering"),
        ("instances/?ordering=--id", "ordering"),
        ("instances/?cursor=abc", "cursor"),
        ("instances/?page_size=0", "page_size"),
        ("instances/?page_size=501", "page_size"),
        ("instances/?page=2", "page"),
        ("instances/counts/?state=FOO", "state"),
        ("instances/1/edges/?direction=up", "direction"),
        ("projects/?page=0", "page"),
        ("projects/?page=99", "page"),
        ("projects/?name=here", "name"),
        ("tasks/?status=RUNNING", "status"),
        ("tasks/?type=cobol", "type"),
        ("tasks/1/fires/?count=101", "count"),
        ("tasks/1/fires/?after=2026-01-01", "after"),
        ("executions/1/log/?position=-1", "position"),
        ("backfills/1/cells/?state=FOO", "state"),
        ("backfills/1/cells/?day=1", "day"),
        ("backfills/1/cells/?cursor=abc", "cursor"),
    ],
)
def test_a_bad_query_is_400_at_its_name(world: World, path: str, field: str) -> None:
    place = world.place
    for noun, pk in {**place.ids, "backfills": place.expanded.pk}.items():
        path = path.replace(f"{noun}/1/", f"{noun}/{pk}/")
    answer = Caller(world.superuser).get(path, 400)
    assert list(answer["fields"]) == [field]


def test_several_faults_are_reported_together(world: World) -> None:
    answer = Caller(world.superuser).post(
        "projects/", {"time_zone": 5, "slots": 1, "periodic_retention_days": 0}, 400
    )
    assert answer["code"] == "invalid"
    assert set(answer["fields"]) == {"name", "time_zone", "slots", "periodic_retention_days"}
