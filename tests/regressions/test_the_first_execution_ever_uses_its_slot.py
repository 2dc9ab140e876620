"""Before the first execution of an installation the sequence of ids stands on its id already."""

from __future__ import annotations

from django.db import connection

from instances.engine.dispatch import dispatch
from projects.ground import clock
from tests.factories import make_resource_group, make_submitted_task
from tests.support.engine import Engine, new_instance


def test_the_first_execution_ever_uses_its_slot(engine: Engine) -> None:
    group = make_resource_group("one", slots=1)
    task = make_submitted_task(resource_group="one")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT setval('instances_execution_id_seq', last_value + 1, false)"
            " FROM instances_execution_id_seq"
        )

    def fill() -> int:
        with engine.committing():
            return dispatch([group.pk], now=clock.now())

    assert fill() == 0  # what is seen here is remembered
    engine.make(new_instance(task), new_instance(task, day=1))
    assert fill() == 0
