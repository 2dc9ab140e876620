"""Who may do what over the API: every route, for every role (P1, P2)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import transaction

from projects.roles import Role
from tests.api.caller import Caller
from tests.api.routes import ANYBODY, ROUTES, STAFF, USER, Route
from tests.api.world import Place, World
from tests.factories import mapping

pytestmark = [pytest.mark.django_db, pytest.mark.feature("P1", "P2")]


@contextmanager
def undone() -> Iterator[None]:
    """Undo what happens inside."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def call(caller: Caller, route: Route, place: Place) -> Any:
    with undone():
        response = caller.call(route.method, route.address(place), route.body(place))
        if response.streaming:
            b"".join(response.streaming_content)
        return response


def outcome(response: Any) -> str:
    """Say what an answer means for access; a batch is what became of its items."""
    if response.status_code == 200 and not response.streaming and response.content:
        data = response.json() if "json" in response["Content-Type"] else {}
        if isinstance(data, dict) and data.get("results") and "operation" in data:
            codes = {item["code"] for item in data["results"] if not item["ok"]}
            if codes & {"forbidden", "not_found"}:
                (code,) = codes
                return code
    return {401: "unauthorized", 403: "forbidden", 404: "not_found"}.get(
        response.status_code, "allowed"
    )


def test_who_has_not_logged_in_is_told_to(world: World) -> None:
    nobody = Caller()
    wrong = [
        (route.method, route.path, response.status_code)
        for route in ROUTES
        if route.needs != ANYBODY
        and (response := call(nobody, route, world.place)).status_code != 401
    ]
    assert wrong == []


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.item("P1.1", "P1.3")
def test_a_member_may_do_what_the_table_of_roles_says(world: World, role: Role) -> None:
    caller = Caller(world.users[role.value])
    wrong = []
    for route in ROUTES:
        if route.needs == ANYBODY:
            continue
        found = outcome(call(caller, route, world.place))
        expected = "allowed" if route.may(role) else route.refusal
        if found != expected:
            wrong.append((route.method, route.path, found, expected))
    assert wrong == []


def test_a_superuser_may_do_everything(world: World) -> None:
    caller = Caller(world.superuser)
    found = {
        (route.method, route.path): outcome(call(caller, route, world.place))
        for route in ROUTES
        if route.needs != ANYBODY
    }
    assert {key: value for key, value in found.items() if value != "allowed"} == {}


def test_for_who_is_no_member_a_project_does_not_exist(world: World) -> None:
    """Lists are without it, its ids are not found, and answers never name what is in it."""
    caller = Caller(world.outsider)
    wrong = []
    for route in ROUTES:
        if route.needs in (ANYBODY, USER, STAFF) or route.path == "resource-groups/":
            continue
        response = call(caller, route, world.place)
        found = outcome(response)
        if route.is_list:
            data = response.json()
            if "results" not in data:
                continue
            foreign = world.place.ids[route.path.split("/")[0]]
            if foreign in [row["id"] for row in data["results"]]:
                wrong.append((route.path, "lists a foreign row"))
        elif "{" in route.path or "/batch/" in route.path:
            if found != "not_found":
                wrong.append((route.method, route.path, found))
        elif response.status_code != 400:  # a foreign id in the body is a fault of its field
            wrong.append((route.method, route.path, response.status_code))
        text = b"" if response.streaming else response.content
        for secret in (b"here", b"s3cret", world.place.folder.name.encode()):
            if b'"' + secret + b'"' in text:
                wrong.append((route.method, route.path, f"names {secret!r}"))
    assert wrong == []


def test_lists_and_counts_of_an_outsider_hold_their_own_rows_alone(world: World) -> None:
    caller = Caller(world.outsider)
    for noun, own in world.elsewhere.ids.items():
        rows = caller.ids(f"{noun}/")
        assert own in rows, noun
        assert world.place.ids[noun] not in rows, noun
    assert caller.get("instances/counts/")["total"] == 4
    assert caller.get("instances/counts/?project=" + str(world.place.project.pk))["total"] == 0


def test_filters_by_foreign_ids_find_nothing(world: World) -> None:
    caller, place = Caller(world.outsider), world.place
    for path in (
        f"tasks/?workflow={place.workflow.pk}",
        f"tasks/?folder={place.folder.pk}",
        f"instances/?task={place.up.pk}",
        f"instances/?folder={place.folder.pk}",
        f"instances/?plan={place.expanded.pk}",
        f"executions/?instance={place.first.pk}",
        f"operations/?object_type=task&object_id={place.up.pk}",
        f"backfills/?task={place.up.pk}",
        f"dependencies/?task={place.up.pk}",
        f"versions/?task={place.up.pk}",
        f"resource-groups/?project={place.project.pk}",
    ):
        assert caller.all(path) == [], path


def test_a_bulk_operation_by_filter_never_leaves_the_projects_of_the_user(world: World) -> None:
    caller = Caller(world.outsider)
    waiting = {"filter": {"state": ["NOT_RUN", "WAITING_UPSTREAM"]}}
    answer = caller.post("instances/batch/mark-success/", waiting)
    touched = {item["id"] for item in answer["results"]}
    assert world.place.instance.pk not in touched
    assert world.elsewhere.instance.pk in touched


def test_a_foreign_end_of_a_dependency_is_its_id_alone(world: World) -> None:
    place, foreign = world.place, world.elsewhere
    caller, root = Caller(world.users["developer"]), Caller(world.superuser)
    reference = f"elsewhere/{foreign.workflow.name}/up"
    root.patch(f"tasks/{place.up.pk}/", {"definition": mapping(depends_on=[reference])})
    root.post(f"tasks/{place.up.pk}/submit/")

    ends = [row["upstream"] for row in caller.all(f"dependencies/?downstream={place.up.pk}")]

    closed = {"visible": False, "id": foreign.up.pk, "name": "", "workflow": "", "project": None}
    assert ends == [closed]
    assert root.all(f"dependencies/?downstream={place.up.pk}")[0]["upstream"]["name"] == "up"


def test_staff_make_projects_and_others_do_not(world: World) -> None:
    staff, viewer = world.superuser, world.users["viewer"]
    staff.is_superuser = False
    staff.save()
    made = Caller(staff).post("projects/", {"name": "fresh"}, 201)
    assert (made["role"], "administer" in made["rights"]) == ("administrator", True)
    assert Caller(viewer).post("projects/", {"name": "other"}, 403)["code"] == "forbidden"
