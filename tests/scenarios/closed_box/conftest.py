"""The neighbourhood, made once for each module, and a clock that stands still."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from django.utils import timezone

from tests.api.conftest import fresh_throttles, nudges
from tests.scenarios.closed_box.neighbourhood import Neighbourhood, make_neighbourhood
from tests.support.standing import standing

__all__ = ["fresh_throttles", "nudges"]


@pytest.fixture(scope="module")
def standing_hood(django_db_setup: None, django_db_blocker: Any) -> Iterator[Neighbourhood]:
    """The neighbourhood of a module's tests."""
    with standing(django_db_blocker, make_neighbourhood) as hood:
        yield hood


@pytest.fixture
def hood(standing_hood: Neighbourhood, db: None) -> Neighbourhood:
    """Two projects, joined in every way there is."""
    return deepcopy(standing_hood)


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no time pass, so that two looks at the same see the same."""
    moment = timezone.now()
    monkeypatch.setattr("django.utils.timezone.now", lambda: moment)
