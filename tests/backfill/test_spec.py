"""What a plan asks for, read and checked field by field."""

from __future__ import annotations

from datetime import date, time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.options.dates import MAX_PERIODS, Period, RangeBy
from backfill.options.dependencies import DependencyCheck
from backfill.options.entry import EntryKind
from backfill.options.order import FutureRuns, Order, RunMode
from backfill.options.selection import Scope
from backfill.spec import PlanSpec
from projects.ground.refusals import Invalid

TODAY = date(2024, 5, 10)


def spec_mapping(**fields: Any) -> dict[str, Any]:
    return {
        "entry": {"kind": "tasks", "ids": [3, 1]},
        "periods": [{"first": "2024-05-01", "last": "2024-05-07"}],
        **fields,
    }


def faults(mapping: object, today: date | None = TODAY) -> dict[str, list[str]]:
    with pytest.raises(Invalid) as caught:
        PlanSpec.from_mapping(mapping, today=today)
    return caught.value.fields


@pytest.mark.feature("B6")
@pytest.mark.item("0.14")
def test_without_periods_a_plan_is_for_yesterday_and_the_whole_day() -> None:
    spec = PlanSpec.from_mapping({"entry": {"kind": "project"}}, today=TODAY)
    assert spec.periods == (Period(date(2024, 5, 9), date(2024, 5, 9)),)
    assert spec.range_by is RangeBy.DATA_DATE
    assert (spec.time_from, spec.time_until) == (time(0, 0), time(23, 59))


def test_defaults_are_the_careful_ones() -> None:
    spec = PlanSpec.from_mapping(spec_mapping())
    assert spec.scope is Scope.SELECTED
    assert spec.dependency_check is DependencyCheck.ALL
    assert spec.order is Order.ASCENDING
    assert spec.future_runs is FutureRuns.WHEN_DUE
    assert (spec.run_mode, spec.groups) == (RunMode.BY_DEPENDENCY, None)


@pytest.mark.feature("B10")
@pytest.mark.parametrize("groups", [None, 2, 10])
def test_dates_run_day_by_day_in_up_to_ten_groups(groups: int | None) -> None:
    spec = PlanSpec.from_mapping(spec_mapping(run_mode="day_by_day", groups=groups))
    assert (spec.run_mode, spec.groups) == (RunMode.DAY_BY_DAY, groups)
    assert PlanSpec.from_mapping(spec.to_mapping()) == spec


@pytest.mark.feature("B10")
@pytest.mark.parametrize("groups", [0, 1, 11, -2, "2", 2.0, True, [2]])
def test_other_numbers_of_groups_are_refused(groups: object) -> None:
    assert [*faults(spec_mapping(run_mode="day_by_day", groups=groups))] == ["groups"]


@pytest.mark.feature("B10")
def test_groups_need_days_and_the_mode_a_name_that_exists() -> None:
    assert [*faults(spec_mapping(groups=2))] == ["groups"]
    assert [*faults(spec_mapping(run_mode="hourly"))] == ["run_mode"]


@pytest.mark.feature("B6")
@pytest.mark.parametrize(
    ("period", "field", "words"),
    [
        ({"first": "2024-05-07", "last": "2024-05-01"}, "periods.0.last", "before it starts"),
        ({"first": "2024-02-30", "last": "2024-03-01"}, "periods.0.first", "date of the calendar"),
        ({"first": "20240501", "last": "2024-05-01"}, "periods.0.first", "YYYY-MM-DD"),
        ({"first": "2024-05-01"}, "periods.0.last", "date of the calendar"),
        ({"first": "0001-01-01", "last": "2024-05-01"}, "periods.0.first", "can be planned"),
        ({"first": "2000-01-01", "last": "2024-05-01"}, "periods.0.last", "at most 3,660 days"),
        ({"first": "2024-05-01", "lasts": "2024-05-01"}, "periods.0.lasts", "Did you mean “last”"),
        ("2024-05-01", "periods.0", "mapping"),
    ],
)
def test_a_wrong_period_is_refused_at_its_field(period: Any, field: str, words: str) -> None:
    found = faults(spec_mapping(periods=[period]))
    assert words in found[field][0]


@pytest.mark.feature("B6")
@pytest.mark.item("0.14")
def test_a_plan_takes_ten_periods_and_no_more() -> None:
    day = {"first": "2024-05-01", "last": "2024-05-01"}
    assert len(PlanSpec.from_mapping(spec_mapping(periods=[day] * MAX_PERIODS)).periods) == 10
    assert "at most 10 periods, not 11" in faults(spec_mapping(periods=[day] * 11))["periods"][0]


@pytest.mark.feature("B6")
def test_the_time_of_day_must_not_end_before_it_starts() -> None:
    found = faults(spec_mapping(time_from="05:00", time_until="04:59"))
    assert found == {"time_until": ["This is before the start, 05:00."]}


@pytest.mark.parametrize("value", ["24:00", "5:00", "05:00:00", 750, "noon"])
def test_a_time_of_day_is_hours_and_minutes(value: object) -> None:
    assert "HH:MM" in faults(spec_mapping(time_from=value))["time_from"][0]


@pytest.mark.feature("B2")
@pytest.mark.parametrize(
    ("entry", "field"),
    [
        (None, "entry"),
        ({}, "entry.kind"),
        ({"kind": "galaxy", "ids": [1]}, "entry.kind"),
        ({"kind": "tasks", "ids": []}, "entry.ids"),
        ({"kind": "folders"}, "entry.ids"),
        ({"kind": "tasks", "ids": "1"}, "entry.ids"),
        ({"kind": "tasks", "ids": [1, True]}, "entry.ids.1"),
        ({"kind": "tasks", "ids": [1, "2"]}, "entry.ids.1"),
        ({"kind": "tasks", "ids": [0]}, "entry.ids.0"),
        ({"kind": "tasks", "ids": [2**63]}, "entry.ids.0"),
        ({"kind": "project", "ids": [1]}, "entry.ids"),
        ({"kind": "folders", "ids": [1], "subfolders": "yes"}, "entry.subfolders"),
        ({"kind": "tasks", "ids": list(range(1, 502))}, "entry.ids"),
    ],
)
def test_a_wrong_entry_is_refused_at_its_field(entry: Any, field: str) -> None:
    assert list(faults(spec_mapping(entry=entry))) == [field]


@pytest.mark.feature("B3")
@pytest.mark.item("0.10", "2.22")
def test_too_many_root_tasks_are_refused_with_the_numbers() -> None:
    found = faults(spec_mapping(entry={"kind": "tasks", "ids": list(range(1, 502))}))
    assert found["entry.ids"] == ["A plan takes at most 500 root tasks; 501 are chosen."]


def test_every_fault_is_told_at_once() -> None:
    found = faults(
        {
            "entry": {"kind": "tasks", "ids": []},
            "periods": [{"first": "2024-05-02", "last": "2024-05-01"}],
            "ordr": "ascending",
            "scope": "everything",
            "dependency_check": "some",
        }
    )
    assert sorted(found) == ["dependency_check", "entry.ids", "ordr", "periods.0.last", "scope"]


@pytest.mark.parametrize("data", [None, [], "plan", 5])
def test_what_is_no_mapping_is_refused(data: object) -> None:
    assert "" in faults(data)


def test_periods_are_required_where_no_yesterday_is_known() -> None:
    assert "periods" in faults({"entry": {"kind": "project"}}, today=None)


def test_downstream_tasks_are_chosen_only_in_a_scope_that_has_them() -> None:
    assert "downstream_task_ids" in faults(spec_mapping(downstream_task_ids=[5]))
    spec = PlanSpec.from_mapping(
        spec_mapping(scope="selected_and_downstream", downstream_task_ids=[5, 5, 6])
    )
    assert spec.downstream_task_ids == (5, 6)


def test_ids_are_kept_once_in_their_order() -> None:
    spec = PlanSpec.from_mapping(spec_mapping(entry={"kind": "tasks", "ids": [3, 1, 3]}))
    assert spec.entry.ids == (3, 1)


_dates = st.dates(date(2015, 1, 1), date(2020, 1, 1))
_periods = st.tuples(_dates, _dates).map(
    lambda ends: {"first": min(ends).isoformat(), "last": max(ends).isoformat()}
)
_times = st.times().map(lambda moment: moment.strftime("%H:%M"))


@given(
    st.fixed_dictionaries(
        {
            "entry": st.fixed_dictionaries(
                {
                    "kind": st.sampled_from([EntryKind.TASKS, EntryKind.FOLDERS]).map(str),
                    "ids": st.lists(st.integers(1, 99), min_size=1, max_size=5),
                    "subfolders": st.booleans(),
                }
            ),
            "periods": st.lists(_periods, min_size=1, max_size=10),
        },
        optional={
            "time_from": _times,
            "dependency_check": st.sampled_from(DependencyCheck).map(str),
            "order": st.sampled_from(Order).map(str),
            "future_runs": st.sampled_from(FutureRuns).map(str),
            "range_by": st.sampled_from(RangeBy).map(str),
            "run_mode": st.just("day_by_day"),
        },
    )
)
def test_a_spec_reads_back_what_it_wrote(mapping: dict[str, Any]) -> None:
    if mapping["entry"]["kind"] == EntryKind.TASKS:
        del mapping["entry"]["subfolders"]
    spec = PlanSpec.from_mapping(mapping)
    assert PlanSpec.from_mapping(spec.to_mapping()) == spec
