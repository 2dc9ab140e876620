"""Projects, members, resource groups, data sources and the operation record over the API."""

from __future__ import annotations

import pytest

from projects.models import DataSource, Operation
from projects.models.resource_group import DEFAULT_GROUP, ResourceGroup
from tests.api.caller import Caller
from tests.api.world import World
from tests.factories import make_resource_group, make_user

pytestmark = pytest.mark.django_db


@pytest.mark.feature("P1", "P3")
@pytest.mark.item("P3.1")
def test_a_project_is_made_changed_and_recorded(world: World) -> None:
    root = Caller(world.superuser)
    made = root.post("projects/", {"name": "fresh", "time_zone": "Europe/Berlin"}, 201)
    assert (made["name"], made["time_zone"]) == ("fresh", "Europe/Berlin")
    assert made["role"] == "administrator"
    changed = root.patch(f"projects/{made['id']}/", {"allowed_hosts": ["*.example.org:443"]})
    assert changed["allowed_hosts"] == ["*.example.org:443"]
    record = root.all(f"operations/?object_type=project&object_id={made['id']}")
    assert [(one["verb"], one["actor"]) for one in record] == [
        ("projects.update", "root"),
        ("projects.create", "root"),
    ]
    assert record[0]["options"] == {"allowed_hosts": ["*.example.org:443"]}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "a/b"}, "name"),
        ({"name": ""}, "name"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"periodic_retention_days": 0}, "periodic_retention_days"),
        ({"periodic_retention_days": "7"}, "periodic_retention_days"),
        ({"allowed_hosts": ["http://a/b"]}, "allowed_hosts.0"),
        ({"allowed_hosts": ["a", 1]}, "allowed_hosts.1"),
        ({"nmae": "x"}, "nmae"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_saved(
    world: World, body: dict[str, object], field: str
) -> None:
    before = Operation.objects.count()
    answer = Caller(world.superuser).patch(f"projects/{world.elsewhere.project.pk}/", body, 400)
    assert (answer["code"], list(answer["fields"])) == ("invalid", [field])
    assert Operation.objects.count() == before


@pytest.mark.feature("P1")
def test_members_come_change_and_go_but_the_last_administrator_stays(
    world: World, admin: Caller
) -> None:
    make_user("eve")
    project = world.place.project.pk
    made = admin.post("members/", {"project": project, "user": "eve", "role": "viewer"}, 201)
    assert admin.post("members/", {"project": project, "user": "eve", "role": "viewer"}, 400)[
        "fields"
    ] == {"user": ["This user is a member of the project already."]}
    assert admin.patch(f"members/{made['id']}/", {"role": "operator"})["role"] == "operator"
    admin.delete(f"members/{made['id']}/")
    assert admin.ids(f"members/?user=eve&project={project}") == []
    (own,) = admin.ids("members/?role=administrator")
    assert admin.patch(f"members/{own}/", {"role": "viewer"}, 409)["code"] == "last_administrator"
    assert admin.delete(f"members/{own}/", 409)["code"] == "last_administrator"


def test_resource_groups_are_seen_by_those_who_may_use_them(world: World, admin: Caller) -> None:
    shared = make_resource_group()
    names = {row["name"] for row in admin.all("resource-groups/")}
    assert names == {DEFAULT_GROUP, shared.name, world.place.group.name}
    root = Caller(world.superuser)
    changed = root.patch(
        f"resource-groups/{world.place.group.pk}/",
        {"slots": 0, "projects": [world.place.project.pk, world.elsewhere.project.pk]},
    )
    assert (changed["slots"], len(changed["projects"])) == (0, 2)
    # A member does not learn which other projects a group is attached to.
    seen = admin.get(f"resource-groups/{world.place.group.pk}/")
    assert seen["projects"] == [world.place.project.pk]
    default = ResourceGroup.objects.get(name=DEFAULT_GROUP)
    root.delete(f"resource-groups/{default.pk}/", 409)
    root.delete(f"resource-groups/{shared.pk}/")
    assert root.post("resource-groups/", {"name": "b", "projects": [0]}, 400)["fields"].keys() == {
        "projects.0"
    }


@pytest.mark.feature("P5")
def test_a_password_goes_in_and_never_comes_out(world: World, admin: Caller) -> None:
    body = {"project": world.place.project.pk, "name": "db", "url": "postgresql+psycopg://a@b/c"}
    response = admin.call("POST", "data-sources/", {**body, "password": "hush-hush"})
    made = response.json()
    assert (response.status_code, made["has_password"]) == (201, True)
    pages = [
        response.content,
        admin.call("GET", f"data-sources/{made['id']}/").content,
        admin.call("GET", "data-sources/").content,
        admin.call("PATCH", f"data-sources/{made['id']}/", {"description": "x"}).content,
        admin.call("GET", "operations/?verb=data_sources.create").content,
    ]
    assert [page for page in pages if b"hush-hush" in page] == []
    assert DataSource.objects.get(pk=made["id"]).password == "hush-hush"
    admin.patch(f"data-sources/{made['id']}/", {"password": ""})
    assert admin.get(f"data-sources/{made['id']}/")["has_password"] is False
    for url in ("postgresql://a:b@c/d", "postgresql://c/d?password=e", "nonsense"):
        answer = admin.patch(f"data-sources/{made['id']}/", {"url": url}, 400)
        assert list(answer["fields"]) == ["url"]
    admin.delete(f"data-sources/{made['id']}/")


@pytest.mark.feature("P3")
def test_the_operation_record_is_read_only(world: World, admin: Caller) -> None:
    address = f"operations/{world.place.operation_id}/"
    assert admin.get(address)["verb"] == "tasks.look"
    assert [one["label"] for one in admin.all(f"{address}objects/")] == ["up"]
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        for path in ("operations/", address):
            assert admin.call(method, path).status_code == 405


@pytest.mark.feature("P3")
def test_the_operation_record_is_filtered(world: World, admin: Caller) -> None:
    place = world.place
    found = {
        "verb=tasks.look",
        f"verb=tasks.look&project={place.project.pk}",
        "verb=tasks.look&actor=viewer",
        f"verb=tasks.look&object_type=task&object_id={place.up.pk}",
        "verb=tasks.look&created_from=2020-01-01T00:00:00Z",
    }
    missed = {
        "verb=tasks.look&actor=operator",
        f"verb=tasks.look&object_type=instance&object_id={place.up.pk}",
        "verb=tasks.look&object_type=plan",
        "verb=tasks.look&created_until=2020-01-01T00:00:00Z",
    }
    assert {query for query in found | missed if admin.ids(f"operations/?{query}")} == found
