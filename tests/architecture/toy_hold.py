"""Lives of instances with a toy among the holds. Run by test_adding.py, in a copy of the product.

Argument: the toy's stage. DATABASE_URL names the test's database; everything is rolled back.
"""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import Any

import django

django.setup()

from django.db import transaction  # noqa: E402  # after the apps are ready
from django.test import TestCase  # noqa: E402

import instances.engine.dispatch  # noqa: E402
from instances.engine.sweep import sweep  # noqa: E402
from instances.models import Instance  # noqa: E402
from instances.reading.waiting import why_waiting  # noqa: E402
from projects.ground import clock  # noqa: E402
from projects.models import ResourceGroup  # noqa: E402
from tests.factories import make_submitted_task  # noqa: E402
from tests.support.engine import Engine, new_instance  # noqa: E402
from tests.support.invariants import violations  # noqa: E402

TOY, NO_TOY = date(2001, 1, 1), date(2026, 1, 1)  # data dates
assert Path(instances.__file__).parents[1] == Path(__file__).parent, "this is not the copy"


def committing() -> Any:
    return TestCase.captureOnCommitCallbacks(execute=True)


def put(one: Instance, data_date: date, *, slots: int = 1) -> None:
    Instance.objects.filter(pk=one.pk).update(data_date=data_date)
    ResourceGroup.objects.filter(pk=one.resource_group_id).update(slots=slots)
    with committing():
        sweep(now=clock.now())


def told(one: Instance) -> list[tuple[str, str]]:
    one.refresh_from_db()
    found = why_waiting(one, actor=None, now=clock.now())
    return [(blocker.reason, blocker.text) for blocker in found]


def main(stage: str) -> None:
    engine, task = Engine(committing, []), make_submitted_task()
    held = [("toy", "A toy holds it.")]

    (one,) = engine.make(new_instance(task, data_date=TOY))
    put(one, TOY)
    assert (one.state, told(one), engine.start(one)) == ("NOT_RUN", held, None)
    put(one, NO_TOY)
    engine.run(one)

    if stage == "STILL":  # dispatch and the claim ask, too
        (ready,) = engine.make(new_instance(task, day=1))
        put(ready, TOY)
        assert engine.start(ready) is None, "sent, and held since"
        put(ready, NO_TOY)
        engine.run(ready)
        ResourceGroup.objects.update(slots=0)
        (late,) = engine.make(new_instance(task, day=2))
        put(late, TOY)
        assert told(late) == held, "it got no slot, though one is free"
        put(late, NO_TOY)
        engine.run(late)
    assert violations() == []


instances.engine.dispatch.reaches_workers = lambda: True
instances.engine.dispatch.announce = lambda executions: None
with transaction.atomic():
    main(sys.argv[1])
    transaction.set_rollback(True)
