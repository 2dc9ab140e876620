"""What a closed box shows: an id, and what is empty of its kind."""

from __future__ import annotations

import pytest

from instances.states import State
from projects.access import sight
from projects.ground.closed_box import Sight
from projects.roles import Role
from tests.factories import make_member, make_project, make_superuser, make_user

pytestmark = pytest.mark.feature("P2")


def test_a_closed_box_is_its_id_alone() -> None:
    eyes = Sight(frozenset({1}))
    facts = {"name": "load", "owners": ["ann"], "cells": 7, "state": State.FAILED, "gone": None}
    assert eyes.name("task", 5, 1, "load") == "load"
    assert eyes.name("task", 5, 2, "load") == "task 5"
    assert eyes.facts(1, **facts) == {"visible": True, **facts}
    assert eyes.facts(2, **facts) == {
        "visible": False,
        "name": "",
        "owners": [],
        "cells": None,
        "state": "",
        "gone": None,
    }


@pytest.mark.django_db
def test_a_reader_sees_the_projects_that_they_are_a_member_of() -> None:
    own, other = make_project(), make_project()
    member = make_member(own, Role.VIEWER)
    assert (sight(member).sees(own.pk), sight(member).sees(other.pk)) == (True, False)
    assert sight(make_user()).projects == frozenset()
    for everybody in (None, make_superuser("root")):
        assert sight(everybody).sees(other.pk)
