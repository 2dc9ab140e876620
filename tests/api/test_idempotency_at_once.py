"""`Idempotency-Key` when a call is repeated before the first one has its answer (P4).

A module of its own: here nothing may stand that is not committed.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection

from projects.models import Project
from tests.api.caller import Caller
from tests.api.test_idempotency import KEY, make
from tests.factories import make_superuser

pytestmark = pytest.mark.feature("P4")


@pytest.mark.django_db(transaction=True)
def test_of_two_calls_at_once_one_creates_and_both_get_its_answer() -> None:
    user = make_superuser()
    together = Barrier(4)

    def call(_: int) -> tuple[int, Any]:
        try:
            together.wait(timeout=60)
            answer = make(Caller(user), {"name": "a"}, **KEY)
            return answer.status_code, answer.json()
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(call, range(4)))
    assert [status for status, _ in answers] == [201] * 4
    assert all(data == answers[0][1] for _, data in answers)
    assert Project.objects.count() == 1
