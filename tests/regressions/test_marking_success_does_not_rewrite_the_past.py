"""Who settled an instance by hand, when and why is kept apart from when it ran and for how long."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.test import Client

from config.models import Total
from config.watching.tallies import tally
from instances import transitions
from instances.engine.sweep import sweep
from instances.models import Instance
from instances.states import State
from instances.verbs.freezing import freeze, unfreeze
from instances.verbs.mark_success import mark_success
from instances.verbs.rerun import rerun
from projects.ground import clock
from projects.models import Operation
from tests.admin.browsing import Browser
from tests.api.caller import Caller
from tests.factories import (
    make_submitted_task,
    make_submitted_tasks,
    make_superuser,
    make_user,
)
from tests.support.engine import Engine, new_instance, state_of
from workflows.models import Task

pytestmark = pytest.mark.feature("X2", "I6", "I11")

LONG_AGO = timedelta(hours=5)


def run_long_ago(engine: Engine, task: Task, *, day: int = 0, seconds: float = 10) -> Instance:
    """Make an instance that failed five hours ago, after so many seconds."""
    (instance,) = engine.make(new_instance(task, day=day, retry_limit=0))
    engine.run(instance, "EXIT_NONZERO")
    ended = clock.now() - LONG_AGO
    Instance.objects.filter(pk=instance.pk).update(
        started_at=ended - timedelta(seconds=seconds), ended_at=ended
    )
    instance.refresh_from_db()
    return instance


@pytest.mark.item("X2.1", "X2.2")
def test_times_stay_and_the_fact_is_on_page_list_and_api(engine: Engine) -> None:
    root = make_superuser("root")
    ran = run_long_ago(engine, make_submitted_task("load"))
    browser = Browser(Client())
    browser.client.force_login(root)
    page = browser.get("instances_instance_operate", "mark-success", ids=ran.pk)
    assert 'name="reason"' in page.html
    data = {"ids": ran.pk, "confirmed": "1", "reason": " loaded by ftp "}
    with engine.committing():
        browser.post("instances_instance_operate", "mark-success", data=data)

    settled = Instance.objects.get(pk=ran.pk)
    assert settled.state == State.SUCCESS
    assert (settled.started_at, settled.ended_at) == (ran.started_at, ran.ended_at)
    assert Operation.objects.latest("pk").options == {"reason": "loaded by ftp"}
    shown = Caller(root).get(f"instances/{ran.pk}/")
    assert shown["duration"] == 10
    assert (shown["settled"]["by"], shown["settled"]["reason"]) == ("root", "loaded by ftp")
    assert shown["settled"]["at"] > shown["ended_at"]
    text = browser.get("instances_instance_change", ran.pk).text
    assert "Success · marked by root" in text
    assert "by root: loaded by ftp" in text
    assert "Success · marked by root" in browser.get("instances_instance_changelist").text
    for value, found in (("true", 1), ("false", 0)):
        assert len(Caller(root).all(f"instances/?settled={value}")) == found
        assert len(browser.get("instances_instance_changelist", settled=value).ids) == found
    assert len(Caller(root).all("instances/?settled_by=root")) == 1
    other = make_user().username
    assert Caller(root).all(f"instances/?settled_by={other}") == []


def test_what_never_ran_has_no_duration(engine: Engine) -> None:
    tasks = make_submitted_tasks({"up": {}, "it": {"depends_on": ["up"]}})
    (it,) = engine.make(new_instance(tasks["it"], waits_for=[(tasks["up"], 0)]))
    root = make_superuser()
    answer = Caller(root).post(f"instances/{it.pk}/mark-success/", {"reason": "not needed"})
    assert (answer["state"], answer["started_at"], answer["duration"]) == ("SUCCESS", None, None)
    assert answer["ended_at"] == answer["settled"]["at"]


def test_a_reason_that_is_too_long_changes_nothing(engine: Engine) -> None:
    ran = run_long_ago(engine, make_submitted_task("load"))
    caller = Caller(make_superuser())
    for path, body in (
        (f"instances/{ran.pk}/mark-success/", {}),
        ("instances/batch/mark-success/", {"ids": [ran.pk]}),
    ):
        answer = caller.post(path, {**body, "reason": "x" * 501}, 400)
        assert list(answer["fields"]) == ["reason"]
    assert state_of(ran) == State.FAILED
    done = caller.post("instances/batch/mark-success/", {"ids": [ran.pk], "reason": "fine"})
    assert done["succeeded"] == 1
    assert Instance.objects.get(pk=ran.pk).settled_because == "fine"


@pytest.mark.item("X2.3")
def test_the_curve_leaves_it_out_and_the_median_of_two_is_the_middle(engine: Engine) -> None:
    task = make_submitted_task("load")
    for day, seconds in enumerate([10, 20, 7000]):
        ran = run_long_ago(engine, task, day=day, seconds=seconds)
    with engine.committing():
        mark_success(actor=None, ids=[ran.pk])
    browser = Browser(Client())
    browser.client.force_login(make_superuser())
    context = browser.get("instances_task_curve", task.pk).context
    assert (context["number"], context["median"], context["longest"]) == (2, 15, 20)


def test_a_rerun_begins_anew_and_a_freeze_keeps_what_was_said(engine: Engine) -> None:
    ran = run_long_ago(engine, make_submitted_task("load"))
    with engine.committing():
        mark_success(actor=None, ids=[ran.pk], reason="fine")
        freeze(actor=None, ids=[ran.pk])
        unfreeze(actor=None, ids=[ran.pk])
    ran.refresh_from_db()
    assert (ran.state, ran.settled_because) == (State.SUCCESS, "fine")
    with engine.committing():
        rerun(actor=None, ids=[ran.pk])
    ran.refresh_from_db()
    assert (ran.settled_at, ran.settled_because) == (None, "")
    engine.run(ran)
    ran.refresh_from_db()
    assert (ran.state, ran.settled_at) == (State.SUCCESS, None)


def test_what_ran_while_it_was_marked_ends_when_its_process_does(engine: Engine) -> None:
    root = make_superuser("root")
    (it,) = engine.make(new_instance(make_submitted_task("load")))
    execution = engine.start(it)
    assert execution is not None
    with engine.committing():
        mark_success(actor=root, ids=[it.pk], reason="enough")
    it.refresh_from_db()
    marked_at = it.settled_at
    assert (it.state, it.ended_at, it.settled_by) == (State.TERMINATING, None, root)
    engine.finish(execution)
    it.refresh_from_db()
    assert (it.state, it.settled_at, it.settled_because) == (State.SUCCESS, marked_at, "enough")
    assert marked_at is not None and it.ended_at is not None and it.ended_at >= marked_at


def test_the_sweep_sees_to_what_waits_for_it(engine: Engine) -> None:
    tasks = make_submitted_tasks({"up": {}, "down": {"depends_on": ["up"]}})
    up = run_long_ago(engine, tasks["up"])
    (down,) = engine.make(new_instance(tasks["down"], waits_for=[(tasks["up"], 0)]))
    with transaction.atomic():  # whoever did this died before anything was set going
        transitions.settle_by_hand([up.pk], by=None, because="", now=clock.now())
    assert state_of(down) == State.WAITING_UPSTREAM
    with engine.committing():
        sweep(now=clock.now())
    assert state_of(down) == State.WAITING_EXECUTION


def test_it_counts_as_a_success_once_at_the_moment_it_became_one(engine: Engine) -> None:
    ran = run_long_ago(engine, make_submitted_task("load"))
    for seconds, expected in ((0, 0), (30, 0), (60, 1), (90, 1)):
        tally(now=clock.now() + timedelta(seconds=seconds))
        found = Total.objects.filter(name="instances_succeeded").first()
        assert (found.value if found else 0) == expected
        if seconds == 30:
            with engine.committing():
                mark_success(actor=None, ids=[ran.pk])
            Instance.objects.update(settled_at=clock.now() + timedelta(seconds=30))
