"""What a page promises is what the verb does: both choose by one rule."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from django.db import transaction

from backfill.models import Plan
from backfill.states import PlanState
from backfill.verbs.control import pause_plans
from backfill.verbs.noun import PLANS
from instances.models import Instance
from instances.states import State
from instances.verbs.noun import INSTANCES
from projects.access import scope
from projects.ground import clock
from projects.models import Project
from projects.roles import Role
from projects.verbs.catalogue import verbs_of
from projects.verbs.selecting import promise
from projects.verbs.verb import Noun, Verb
from tests.factories import (
    make_member,
    make_project,
    make_submitted_tasks,
    make_task,
    make_user,
    make_workflow,
)
from tests.factories.plans import make_expanded_plan, make_plan, make_spec
from tests.support.engine import Engine, new_instance
from workflows.choices import TaskStatus
from workflows.models import Task
from workflows.verbs.noun import TASKS

pytestmark = [pytest.mark.django_db, pytest.mark.feature("I10", "P1", "P2")]

ROUNDS = 12
# What a verb finds out of an object only when it comes to it.
FOUND_LATER = {"nothing_to_remove"}


def shuffle_instances(chance: random.Random, projects: list[Project]) -> None:
    now = clock.now()
    moments = {
        State.RUNNING: {"ready_at": now, "dispatched_at": now, "started_at": now},
        State.TERMINATING: {"ready_at": now, "dispatched_at": now, "started_at": now},
        State.WAITING_EXECUTION: {"ready_at": now, "ready_xid": 1},
        State.FROZEN: {"frozen_from": State.WAITING_UPSTREAM},
        State.SUCCESS: {"ended_at": now},
        State.FAILED: {"ended_at": now},
    }
    empty: dict[str, Any] = {
        **dict.fromkeys(("ready_at", "ready_xid", "dispatched_at", "started_at", "ended_at")),
        "frozen_from": "",
    }
    for instance in Instance.objects.filter(project__in=projects):
        state = chance.choice(list(State))
        row = Instance.objects.filter(pk=instance.pk)
        row.update(**{**empty, "state": state, **moments.get(state, {})})


def shuffle_tasks(chance: random.Random, projects: list[Project]) -> None:
    now = clock.now()
    for task in Task.objects.filter(project__in=projects, version__isnull=False):
        status = chance.choice([one for one in TaskStatus if one != TaskStatus.DRAFT])
        expired = status == TaskStatus.INVALID
        Task.objects.filter(pk=task.pk).update(
            status=TaskStatus.SCHEDULING if expired else status,
            effective_until=now if expired else None,
            next_fire_at=None,
        )


def shuffle_plans(chance: random.Random, projects: list[Project]) -> None:
    for plan in Plan.objects.filter(project__in=projects, batch__isnull=False):
        Plan.objects.filter(pk=plan.pk).update(
            state=chance.choice([PlanState.EXPANDING, PlanState.RUNNING])
        )
        assert plan.batch is not None
        plan.batch.paused_at = clock.now() if chance.random() < 0.4 else None
        plan.batch.save(update_fields=["paused_at"])


def make_world(engine: Engine) -> list[Project]:
    """Make three projects with tasks, instances and plans."""
    projects = [make_project() for _ in range(3)]
    for project in projects:
        workflow = make_workflow(project=project)
        tasks = make_submitted_tasks({"a": {}, "b": {"depends_on": ["a"]}}, workflow=workflow)
        make_task("draft", workflow=workflow)
        rows = [new_instance(tasks["a"], day=day) for day in range(3)]
        engine.make(*rows, *[new_instance(tasks["b"], waits_for=[(tasks["a"], 0)])])
        make_plan(make_spec([tasks["a"]]))
        for _ in range(2):
            make_expanded_plan(make_spec([tasks["a"]]))
    return projects


SHUFFLES: list[tuple[Noun, Callable[[random.Random, list[Project]], None]]] = [
    (INSTANCES, shuffle_instances),
    (TASKS, shuffle_tasks),
    (PLANS, shuffle_plans),
]


@pytest.mark.parametrize(("noun", "shuffle"), SHUFFLES, ids=lambda one: getattr(one, "plural", ""))
def test_what_is_promised_is_done(
    engine: Engine, noun: Noun, shuffle: Callable[[random.Random, list[Project]], None]
) -> None:
    chance = random.Random(7)
    projects = make_world(engine)
    seen_states = set()
    for _ in range(ROUNDS):
        for verb in verbs_of(noun):
            with transaction.atomic():
                shuffle(chance, projects)
                seen_states |= compare(chance, verb, projects)
                transaction.set_rollback(True)
    wanted = {state for verb in verbs_of(noun) for state in verb.effects}
    assert seen_states == wanted, "every state that allows something was tried"


def compare(chance: random.Random, verb: Verb, projects: list[Project]) -> set[Any]:
    """Let a user with random roles do the verb to random objects; return the states acted on."""
    user = make_user()
    for project in projects:
        if chance.random() < 0.7:
            roles = [Role.VIEWER, Role.OPERATOR, Role.OPERATOR, Role.ADMINISTRATOR]
            make_member(project, chance.choice(roles), user=user)
    there = list(verb.noun.model._default_manager.values_list("pk", flat=True))
    ids = chance.sample(there, chance.randint(1, len(there))) + [10**9] * chance.randint(0, 1)
    if verb.whole:  # one that may not refuses all, as does a stranger's
        visible = scope(verb.noun.model._default_manager.all(), user, verb.right)
        ids = list(visible.values_list("pk", flat=True)) or ids
    rows = verb.noun.model._default_manager.filter(pk__in=ids)

    promised = promise(verb, actor=user, rows=rows, asked=len(ids))
    looked = verb.look(actor=user, ids=ids)
    if verb.whole and looked.refused:
        return set()
    result = verb(actor=user, ids=ids)

    assert promised.asked == len(ids) == len(result.outcomes)
    assert promised.acting == count(looked.states.values())
    assert promised.left == count(one.detail for one in looked.refused.values())
    done = {one.id for one in result.outcomes if one.ok or one.code in FOUND_LATER}
    assert done == set(looked.rows)
    refused = {one.id: (one.code, one.detail) for one in result.outcomes if one.id not in done}
    assert refused == {pk: (one.code, one.detail) for pk, one in looked.refused.items()}
    return set(looked.states.values())


def count(values: Iterable[Any]) -> dict[Any, int]:
    return dict(Counter(values))


def test_a_lock_changes_nothing_but_the_moment(engine: Engine) -> None:
    """A state that changes between page and click is judged as it is then."""
    (project, *_) = make_world(engine)
    plan = Plan.objects.filter(project=project, state=PlanState.RUNNING)[0]
    assert list(pause_plans.look(actor=None, ids=[plan.pk]).rows) == [plan.pk]
    Plan.objects.filter(pk=plan.pk).update(state=PlanState.TERMINATED, ended_at=clock.now())
    (outcome,) = pause_plans(actor=None, ids=[plan.pk]).outcomes
    assert (outcome.ok, outcome.code) == (False, "wrong_state")
