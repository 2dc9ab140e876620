"""Who holds a plan's row stops neither the job that settles plans nor what it says of others."""

from __future__ import annotations

import pytest

from backfill.models import Plan
from backfill.running.settling import settle_plans
from backfill.states import PlanState
from instances.models import BatchNote, Instance
from tests.factories import make_submitted_task
from tests.factories.plans import make_expanded_plan, make_spec
from tests.regressions.test_what_somebody_holds_does_not_stop_the_crews import held
from tests.support.engine import Engine

pytestmark = pytest.mark.feature("B21")


def test_a_held_plan_is_settled_later_and_the_others_now(live_engine: Engine) -> None:
    plans = [make_expanded_plan(make_spec([make_submitted_task()])) for _ in range(2)]
    for plan in plans:
        live_engine.run(Instance.objects.get(batch=plan.batch))
    busy, free = plans
    with held("SELECT FROM backfill_plan WHERE id = %s FOR UPDATE", busy.pk):
        assert settle_plans() == (1, 0)
        assert Plan.objects.get(pk=free.pk).state == PlanState.COMPLETED
        assert set(BatchNote.objects.values_list("batch_id", flat=True)) == {busy.batch_id}
    assert settle_plans() == (1, 0)
    assert Plan.objects.get(pk=busy.pk).state == PlanState.COMPLETED
    assert not BatchNote.objects.exists()
