"""Which tasks a plan runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.options.dates import Period
from backfill.options.entry import Entry, EntryKind
from backfill.options.selection import Scope
from backfill.planning.selection import Candidate, Obstacle, Selection, select_tasks
from backfill.spec import PlanSpec
from projects.ground.refusals import Invalid
from tests.backfill.planning.test_dates import JULY
from workflows.network.links import Link
from workflows.schedules.matching import Offset

# 1 → 2 → 4 → 5, 1 → 3 → 4, 6 stands alone.
DIAMOND = [Link(1, 2), Link(1, 3), Link(2, 4), Link(3, 4), Link(4, 5)]


def make_spec(
    ids: Sequence[int] = (),
    scope: Scope = Scope.SELECTED,
    *,
    kind: EntryKind = EntryKind.TASKS,
    periods: tuple[Period, ...] = (JULY,),
    **fields: Any,
) -> PlanSpec:
    return PlanSpec(entry=Entry(kind, tuple(ids)), periods=periods, scope=scope, **fields)


def make_candidates(ids: Iterable[int], **special: Candidate) -> dict[int, Candidate]:
    found = {pk: Candidate(pk, f"w/t{pk}", "SCHEDULING", "day") for pk in ids}
    return found | {candidate.id: candidate for candidate in special.values()}


def select(
    spec: PlanSpec,
    *,
    entry_ids: Sequence[int] | None = None,
    links: Sequence[Link] = DIAMOND,
    **special: Candidate,
) -> Selection:
    return select_tasks(
        spec,
        entry_ids=spec.entry.ids if entry_ids is None else entry_ids,
        candidates=make_candidates(range(1, 7), **special),
        links=links,
    )


@pytest.mark.feature("B3")
def test_selected_tasks_alone_are_run() -> None:
    assert select(make_spec([4, 1])).task_ids == (1, 4)


@pytest.mark.feature("B3")
@pytest.mark.item("0.8")
def test_with_downstream_everything_that_depends_on_the_roots_is_run_after_them() -> None:
    selection = select(make_spec([3], Scope.SELECTED_AND_DOWNSTREAM))
    assert selection.task_ids == (3, 4, 5)
    assert selection.levels == {3: 0, 4: 1, 5: 2}
    assert selection.root_ids == (3,)
    assert selection.downstream_ids == (4, 5)


@pytest.mark.feature("B3")
@pytest.mark.item("0.8")
def test_only_downstream_leaves_the_roots_out_even_where_one_depends_on_another() -> None:
    selection = select(make_spec([1, 3], Scope.ONLY_DOWNSTREAM))
    assert selection.task_ids == (2, 4, 5)


@pytest.mark.feature("B3")
def test_downstream_tasks_may_be_chosen_one_by_one() -> None:
    spec = make_spec([1], Scope.SELECTED_AND_DOWNSTREAM, downstream_task_ids=(5, 2))
    selection = select(spec)
    assert selection.task_ids == (1, 2, 5)
    assert selection.downstream_ids == (2, 3, 4, 5)


@pytest.mark.feature("B3")
def test_a_chosen_task_that_is_not_downstream_is_refused_at_its_place() -> None:
    spec = make_spec([2], Scope.SELECTED_AND_DOWNSTREAM, downstream_task_ids=(5, 3))
    with pytest.raises(Invalid) as caught:
        select(spec)
    assert caught.value.fields == {
        "downstream_task_ids.1": ["Task 3 is not downstream of the root tasks."]
    }


@pytest.mark.feature("B2")
@pytest.mark.parametrize(
    ("candidate", "words"),
    [
        (Candidate(2, "w/once", "SCHEDULING", "one_time"), "One-time tasks cannot be backfilled"),
        (Candidate(2, "w/off", "OFFLINE", "day"), "scheduling, paused or invalid"),
        (Candidate(2, "w/draft", "DRAFT", ""), "scheduling, paused or invalid"),
        (Candidate(2, "w/far", "SCHEDULING", "day", operable=False), "You may not operate"),
    ],
)
@pytest.mark.item("0.3")
def test_a_root_that_cannot_be_run_is_refused_by_name(candidate: Candidate, words: str) -> None:
    with pytest.raises(Invalid) as caught:
        select(make_spec([1, 2]), special=candidate)
    message = caught.value.fields["entry.ids"][0]
    assert words in message
    assert candidate.label in message


@pytest.mark.feature("B2")
@pytest.mark.parametrize("kind", [EntryKind.WORKFLOWS, EntryKind.FOLDERS, EntryKind.PROJECT])
def test_of_a_whole_workflow_what_cannot_be_run_is_left_out_and_told(kind: EntryKind) -> None:
    once = Candidate(2, "w/once", "SCHEDULING", "one_time")
    selection = select(make_spec([9], kind=kind), entry_ids=[1, 2, 3], once=once)
    assert selection.task_ids == (1, 3)
    assert [(one.id, one.obstacle) for one in selection.left_out] == [(2, Obstacle.ONE_TIME)]


@pytest.mark.feature("B2", "B5")
def test_downstream_tasks_that_cannot_be_run_are_left_out_and_what_follows_them_is_not() -> None:
    offline = Candidate(2, "w/off", "OFFLINE", "day")
    foreign = Candidate(3, "task 3", "SCHEDULING", "day", operable=False)
    spec = make_spec([1], Scope.SELECTED_AND_DOWNSTREAM)
    selection = select(spec, offline=offline, foreign=foreign)
    assert selection.task_ids == (1, 4, 5)
    assert [(one.id, one.obstacle) for one in selection.left_out] == [
        (2, Obstacle.NOT_IN_OPERATIONS),
        (3, Obstacle.FORBIDDEN),
    ]


def test_paused_tasks_can_be_run() -> None:
    paused = Candidate(2, "w/paused", "PAUSED", "day")
    assert select(make_spec([2]), paused=paused).task_ids == (2,)


def test_an_entry_without_a_task_that_can_be_run_is_refused() -> None:
    off = Candidate(6, "w/off", "OFFLINE", "day")
    with pytest.raises(Invalid) as caught:
        select(make_spec([9], kind=EntryKind.WORKFLOWS), entry_ids=[6], off=off)
    assert list(caught.value.fields) == ["entry"]
    with pytest.raises(Invalid) as caught:
        select(make_spec([6], Scope.ONLY_DOWNSTREAM))
    assert list(caught.value.fields) == ["scope"]


@pytest.mark.feature("B3")
@pytest.mark.item("2.22")
def test_more_than_two_thousand_tasks_are_refused_with_the_number() -> None:
    chain = [Link(pk, pk + 1) for pk in range(1, 2001)]
    spec = make_spec([1], Scope.SELECTED_AND_DOWNSTREAM)
    with pytest.raises(Invalid) as caught:
        select_tasks(spec, entry_ids=[1], candidates=make_candidates(range(1, 2002)), links=chain)
    assert caught.value.fields["entry"] == ["A plan takes at most 2,000 tasks; 2,001 are selected."]
    assert caught.value.code == "too_many_tasks"


@pytest.mark.feature("B3")
def test_of_a_whole_project_the_roots_are_those_that_wait_for_no_other() -> None:
    spec = make_spec(kind=EntryKind.PROJECT)
    ids = range(1, 601)
    chain = [Link(pk, pk + 1) for pk in range(1, 600)]
    selection = select_tasks(spec, entry_ids=ids, candidates=make_candidates(ids), links=chain)
    assert selection.task_ids == tuple(ids)
    with pytest.raises(Invalid) as caught:
        select_tasks(spec, entry_ids=ids, candidates=make_candidates(ids), links=[])
    assert caught.value.fields["entry"] == ["A plan takes at most 500 root tasks; 600 are chosen."]


def test_a_ring_through_the_past_does_not_disturb_the_order() -> None:
    links = [Link(1, 2), Link(2, 3), Link(3, 1, Offset.PREVIOUS)]
    selection = select(make_spec([3, 2, 1]), links=links)
    assert selection.task_ids == (1, 2, 3)


@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), max_size=80),
    st.sets(st.integers(1, 30), min_size=1),
    st.sampled_from([Scope.SELECTED, Scope.SELECTED_AND_DOWNSTREAM]),
)
def test_every_task_comes_after_those_that_it_waits_for(
    pairs: list[tuple[int, int]], roots: set[int], scope: Scope
) -> None:
    links = [Link(low, high) for low, high in {(min(p), max(p)) for p in pairs} if low != high]
    selection = select_tasks(
        make_spec(sorted(roots), scope),
        entry_ids=roots,
        candidates=make_candidates(range(1, 31)),
        links=links,
    )
    place = {pk: number for number, pk in enumerate(selection.task_ids)}
    assert roots <= place.keys()
    for link in links:
        if link.upstream in place and link.downstream in place:
            assert place[link.upstream] < place[link.downstream]
            assert selection.levels[link.upstream] < selection.levels[link.downstream]
        if scope is Scope.SELECTED_AND_DOWNSTREAM and link.upstream in place:
            assert link.downstream in place
