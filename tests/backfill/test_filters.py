"""Finding plans."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from backfill.filters import PlanFilter
from backfill.models import Plan
from backfill.verbs.plans import create_plan
from instances.models import Instance
from projects.ground import clock
from projects.roles import Role
from tests.factories import make_member, make_submitted_task
from tests.factories.plans import make_expanded_plan, make_plan, make_spec
from tests.support.engine import Engine


def found(**wanted: Any) -> list[str]:
    filtered = PlanFilter(wanted, queryset=Plan.objects.all())
    assert filtered.is_valid(), filtered.errors
    return sorted(filtered.qs.values_list("name", flat=True))


@pytest.mark.feature("B21")
@pytest.mark.item("0.32")
def test_plans_are_found_by_name_task_author_time_and_state(engine: Engine) -> None:
    load, other = make_submitted_task("load_prices"), make_submitted_task("other")
    user = make_member(other.project, Role.OPERATOR)
    before = clock.now()
    with engine.committing():
        run = make_expanded_plan(make_spec([load], "2024-05-01"), name="prices of May")
        make_expanded_plan(make_spec([other], "2024-06-01"), name="others of June")
    make_plan(make_spec([load], "2024-07-01"), name="prices of July")
    create_plan(actor=user, project_id=other.project_id, spec=make_spec([other]), name="hers")
    engine.run(Instance.objects.get(batch=run.batch))

    assert found(search="prices") == ["prices of July", "prices of May"]
    assert found(search="june|HERS") == ["hers", "others of June"]
    assert found(task=load.pk) == ["prices of May"]
    assert found(task_name="PRICES") == ["prices of May"]
    assert found(created_by=user.username) == ["hers"]
    assert found(state="draft") == ["hers", "prices of July"]
    assert found(instance_state="SUCCESS") == ["prices of May"]
    assert found(instance_state="WAITING_EXECUTION,FAILED") == ["others of June"]
    assert found(project=load.project_id) == ["prices of July", "prices of May"]
    assert found(created_until=before.isoformat()) == []
    assert len(found(created_from=before.isoformat())) == 4
    assert found(created_from=(clock.now() + timedelta(hours=1)).isoformat()) == []
    assert found(data_date_from="2024-06-01", data_date_until="2024-06-30") == ["others of June"]
