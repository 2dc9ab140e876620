"""A filter by a name that there is not is refused at its name; so is one that says nothing."""

from __future__ import annotations

import pytest

from instances.models import Instance
from tests.api.caller import Caller
from tests.api.world import World

pytestmark = [pytest.mark.django_db, pytest.mark.feature("P4")]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("tasks/", "resource_group"),
        ("tasks/", "owner"),
        ("workflows/", "owner"),
        ("versions/", "type"),
        ("versions/", "submitted_by"),
        ("instances/", "resource_group"),
        ("instances/", "type"),
        ("instances/", "error_code"),
        ("instances/counts/", "owner"),
        ("executions/", "resource_group"),
        ("executions/", "error_code"),
        ("executions/", "worker"),
        ("operations/", "actor"),
        ("operations/", "verb"),
        ("backfills/", "created_by"),
    ],
)
def test_a_name_that_there_is_not(world: World, path: str, name: str) -> None:
    for caller in (Caller(world.superuser), Caller(world.users["viewer"])):
        answer = caller.get(f"{path}?{name}=3", 400)
        assert list(answer["fields"]) == [name]
        assert "“3”" in answer["fields"][name][0]


def test_a_name_among_others_that_there_are(world: World) -> None:
    group = world.place.group.name
    caller = Caller(world.users["viewer"])
    assert caller.get(f"tasks/?resource_group={group}&resource_group=default")["results"]
    assert list(caller.get(f"tasks/?resource_group={group}&resource_group=3", 400)["fields"]) == [
        "resource_group"
    ]


def test_a_name_that_is_gone_and_stands_in_the_list(world: World) -> None:
    """What a row says is no mistake, though its package or its user is gone."""
    place, viewer = world.place, Caller(world.users["viewer"])
    Instance.objects.filter(pk=place.first.pk).update(error_code="OF_A_PLUGIN")
    assert viewer.ids("instances/?error_code=OF_A_PLUGIN") == [place.first.pk]
    Caller(world.superuser).delete(f"members/{place.member.pk}/")
    actor = place.member.user.username
    assert Caller(world.users["developer"]).all(f"operations/?actor={actor}")


def test_verbs_that_are_declared_and_verbs_that_are_recorded(world: World) -> None:
    root, developer = Caller(world.superuser), Caller(world.users["developer"])
    assert developer.get("operations/?verb=instances.rerun")["results"] == []
    root.delete(f"members/{world.place.member.pk}/")
    assert len(developer.get("operations/?verb=members.remove")["results"]) == 1
    assert list(root.get("operations/?verb=members.evict", 400)["fields"]) == ["verb"]


def test_the_name_of_somebody_hidden_is_like_one_that_never_was(world: World) -> None:
    caller = Caller(world.users["viewer"])
    hidden = caller.get(f"tasks/?owner={world.outsider.username}", 400)
    never = caller.get("tasks/?owner=never", 400)
    assert str(hidden).replace(world.outsider.username, "never") == str(never)


def test_a_batch_filter_says_so_as_well(world: World) -> None:
    body = {"filter": {"project": world.place.project.pk, "resource_group": "3"}}
    answer = Caller(world.superuser).post("instances/batch/freeze/", body, 400)
    assert list(answer["fields"]) == ["filter.resource_group"]


@pytest.mark.parametrize(
    ("path", "query", "name"),
    [
        ("instances/", "started_until=", "started_until"),
        ("instances/", "state=", "state"),
        ("instances/", "state=FAILED&state=", "state"),
        ("instances/", "task=,", "task"),
        ("tasks/", "search=%20", "search"),
        ("folders/", "root=", "root"),
        ("folders/", "root=null", "root"),
        ("folders/", "root=yes", "root"),
        ("instances/", "dry=2", "dry"),
        ("backfills/", "created_by=", "created_by"),
        ("backfills/{expanded}/cells/", "state=", "state"),
    ],
)
def test_a_parameter_that_says_nothing(world: World, path: str, query: str, name: str) -> None:
    address = path.replace("{expanded}", str(world.place.expanded.pk))
    answer = Caller(world.superuser).get(f"{address}?{query}", 400)
    assert list(answer["fields"]) == [name]


def test_yes_and_no(world: World) -> None:
    caller = Caller(world.superuser)
    assert world.place.folder.pk in caller.ids("folders/?root=true")
    assert caller.ids("folders/?root=false") == []
