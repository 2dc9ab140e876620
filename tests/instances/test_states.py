"""States: the table and its groups."""

from __future__ import annotations

import pytest

from instances.states import (
    FINISHED,
    FREEZABLE,
    MARKABLE,
    RERUNNABLE,
    TERMINABLE,
    TRANSITIONS,
    UNFINISHED,
    State,
    sources_of,
)


@pytest.mark.feature("I1")
def test_every_state_has_a_row_in_the_transition_table() -> None:
    assert set(TRANSITIONS) == set(State)


@pytest.mark.feature("I1")
@pytest.mark.item("1.9")
def test_every_state_can_be_reached_and_every_unfinished_one_can_be_left() -> None:
    assert all(sources_of(state) for state in State)
    assert all(TRANSITIONS[state] for state in UNFINISHED)


def test_finished_and_unfinished_states_are_all_states() -> None:
    assert set(State) == FINISHED | UNFINISHED
    assert not FINISHED & UNFINISHED


@pytest.mark.feature("I4")
@pytest.mark.item("1.21")
def test_terminate_applies_to_the_states_of_the_catalogue() -> None:
    assert {state.value for state in TERMINABLE} == {
        "WAITING_EVENT",
        "WAITING_UPSTREAM",
        "WAITING_EXECUTION",
        "RUNNING",
    }


@pytest.mark.feature("I8")
def test_freeze_does_not_apply_to_what_waits_for_its_time_or_for_execution_or_runs() -> None:
    assert {state.value for state in State if state not in FREEZABLE} == {
        "NOT_RUN",
        "WAITING_EXECUTION",
        "RUNNING",
        "TERMINATING",
        "FROZEN",
    }


def test_rerun_and_mark_success_apply_to_the_states_of_the_catalogue() -> None:
    assert {state.value for state in RERUNNABLE} == {
        "FAILED",
        "SUCCESS",
        "WAITING_EXECUTION",
        "RETRYING",
    }
    assert {state.value for state in MARKABLE} == {
        "RUNNING",
        "FAILED",
        "WAITING_EVENT",
        "WAITING_UPSTREAM",
        "WAITING_EXECUTION",
    }
