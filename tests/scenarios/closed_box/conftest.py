"""The neighbourhood, made and looked at once for each module, and a clock that stands still."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from tests.api.conftest import fresh_throttles, nudges
from tests.scenarios.closed_box.looking import Answers
from tests.scenarios.closed_box.neighbourhood import Neighbourhood, make_neighbourhood
from tests.support.standing import standing

__all__ = ["fresh_throttles", "nudges"]


Look = Callable[[Neighbourhood], Answers]


@pytest.fixture(scope="module")
def still() -> Iterator[None]:
    """Let no time pass, so that two looks at the same see the same.

    At noon: at the time at which hidden tasks are planned, what is made now would have their mark.
    """
    moment = timezone.now().replace(hour=12, minute=0, second=0, microsecond=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("django.utils.timezone.now", lambda: moment)
        yield


@pytest.fixture(scope="module")
def standing_hood(
    still: None, django_db_setup: None, django_db_blocker: Any
) -> Iterator[Neighbourhood]:
    """The neighbourhood of a module's tests."""

    def make() -> Neighbourhood:
        # Ids are numbers too: none of them may be a count that is a mark.
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT setval(quote_ident(sequencename), greatest(last_value, 100000))"
                " FROM pg_sequences WHERE schemaname = 'public'"
            )
        return make_neighbourhood()

    with standing(django_db_blocker, make) as hood:
        yield hood


@pytest.fixture(scope="module")
def seen(standing_hood: Neighbourhood, django_db_blocker: Any) -> Callable[[Look], Answers]:
    """What the reader sees in one way of looking; each way is looked once, and leaves nothing."""

    @cache
    def look_once(look: Look) -> Answers:
        with django_db_blocker.unblock(), transaction.atomic():
            answers = look(deepcopy(standing_hood))
            transaction.set_rollback(True)
        return answers

    return look_once


@pytest.fixture
def hood(standing_hood: Neighbourhood, db: None) -> Neighbourhood:
    """Two projects, joined in every way there is."""
    return deepcopy(standing_hood)
