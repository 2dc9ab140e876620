"""`Idempotency-Key`: a repeated call creates nothing and gets the first answer again (P4)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from projects.models import IdempotencyKey, Project
from projects.rest.idempotency import KEPT_FOR, REPLAYED
from tests.api.caller import Caller
from tests.api.world import World
from tests.factories import make_superuser, mapping

pytestmark = pytest.mark.feature("P4")

KEY = {"Idempotency-Key": "once-1"}


def make(caller: Caller, body: Any, path: str = "projects/", **headers: str) -> Any:
    return caller.call("POST", path, body, **headers)


@pytest.mark.django_db
def test_the_same_call_again_gets_the_first_answer() -> None:
    caller = Caller(make_superuser())
    first = make(caller, {"name": "a"}, **KEY)
    again = make(caller, {"name": "a"}, **KEY)
    assert (first.status_code, REPLAYED in first.headers) == (201, False)
    assert (again.status_code, again[REPLAYED]) == (201, "true")
    assert again.json() == first.json()
    assert Project.objects.count() == 1


@pytest.mark.django_db
def test_another_call_under_a_used_key_is_refused() -> None:
    caller = Caller(make_superuser())
    make(caller, {"name": "a"}, **KEY)
    answer = make(caller, {"name": "b"}, **KEY)
    assert (answer.status_code, answer.json()["code"]) == (409, "key_reused")


@pytest.mark.django_db
def test_a_refused_call_may_be_corrected_under_the_same_key() -> None:
    caller = Caller(make_superuser())
    assert make(caller, {"name": "a/b"}, **KEY).status_code == 400
    assert make(caller, {"name": "ab"}, **KEY).status_code == 201


@pytest.mark.django_db
def test_keys_belong_to_their_user_and_are_forgotten_after_a_day() -> None:
    one, other = Caller(make_superuser()), Caller(make_superuser())
    assert make(one, {"name": "a"}, **KEY).status_code == 201
    assert make(other, {"name": "b"}, **KEY).status_code == 201
    first = IdempotencyKey.objects.get(user=one.user)
    IdempotencyKey.objects.update(created_at=first.created_at - KEPT_FOR - timedelta(seconds=1))
    assert make(one, {"name": "c"}, **KEY).status_code == 201
    assert IdempotencyKey.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["", "x" * 201, "käse"])
def test_a_key_that_is_none_is_refused(key: str) -> None:
    answer = make(Caller(make_superuser()), {"name": "a"}, **{"Idempotency-Key": key})
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["Idempotency-Key"])


@pytest.mark.item("P4.4")
def test_every_creating_call_heeds_the_key(world: World) -> None:
    place, caller = world.place, Caller(world.superuser)
    project = place.project.pk
    entry = {"kind": "tasks", "ids": [place.up.pk]}
    bodies: dict[str, dict[str, Any]] = {
        "workflows/": {"project": project, "name": "n"},
        "folders/": {"project": project, "name": "n"},
        "tasks/": {"workflow": place.workflow.pk, "name": "n", "definition": mapping()},
        "backfills/": {"project": project, "spec": {"entry": entry}},
        "members/": {"project": project, "user": "root", "role": "viewer"},
        "data-sources/": {"project": project, "name": "n", "url": "sqlite://"},
        "resource-groups/": {"name": "n"},
    }
    for path, body in bodies.items():
        headers = {"Idempotency-Key": path}
        first, again = (make(caller, body, path, **headers) for _ in range(2))
        assert (first.status_code, again.status_code) == (201, 201), (path, first.content)
        assert first.json() == again.json()
