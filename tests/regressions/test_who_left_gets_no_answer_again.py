"""An answer kept under an idempotency key is the project's: who left it gets 404 (V10)."""

from __future__ import annotations

from typing import Any

import pytest

from projects.models import Member
from tests.api.caller import Caller
from tests.api.world import World
from tests.factories import mapping

pytestmark = [pytest.mark.django_db, pytest.mark.feature("P4", "P2")]

_FILE = """
tidemill: 1
workflow: imported
tasks:
  - name: one
    type: virtual
    schedule: {cycle: day, at: "00:00"}
"""


def bodies(world: World) -> dict[str, Any]:
    place, project = world.place, world.place.project.pk
    return {
        "workflows/": {"project": project, "name": "n"},
        "folders/": {"project": project, "name": "n"},
        "tasks/": {"workflow": place.workflow.pk, "name": "n", "definition": mapping()},
        "backfills/": {
            "project": project,
            "spec": {"entry": {"kind": "tasks", "ids": [place.up.pk]}},
        },
        "members/": {"project": project, "user": "root", "role": "viewer"},
        "data-sources/": {"project": project, "name": "n", "url": "sqlite://"},
        "workflows/import/": {"project": project, "yaml": _FILE},
    }


def test_who_left_the_project_gets_no_answer_again(world: World) -> None:
    user = world.users["administrator"]
    caller = Caller(user)
    for path, body in bodies(world).items():
        first = caller.call("POST", path, body, **{"Idempotency-Key": path})
        again = caller.call("POST", path, body, **{"Idempotency-Key": path})
        assert first.status_code in (200, 201), (path, first.content)
        assert again.json() == first.json()
    Member.objects.filter(user=user).delete()
    for path, body in bodies(world).items():
        answer = caller.call("POST", path, body, **{"Idempotency-Key": path})
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path


def test_who_left_a_project_that_they_made(world: World) -> None:
    user = world.users["administrator"]
    user.is_staff = True
    user.save()
    caller, key = Caller(user), {"Idempotency-Key": "once"}
    assert caller.call("POST", "projects/", {"name": "mine"}, **key).status_code == 201
    Member.objects.filter(user=user).delete()
    assert caller.call("POST", "projects/", {"name": "mine"}, **key).status_code == 404


def test_who_comes_back_gets_it_again(world: World) -> None:
    user = world.users["administrator"]
    caller, key = Caller(user), {"Idempotency-Key": "once"}
    body = {"project": world.place.project.pk, "name": "n"}
    first = caller.call("POST", "folders/", body, **key)
    role = Member.objects.get(user=user)
    Member.objects.filter(user=user).delete()
    role.pk = None
    role.save()
    assert caller.call("POST", "folders/", body, **key).json() == first.json()
