"""Parameters: expressions, built-ins, resolution, rendering."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from workflows.parameters.built_ins import BUILT_INS, built_in_values
from workflows.parameters.context import Context
from workflows.parameters.errors import ExpressionError
from workflows.parameters.expressions import add_months
from workflows.parameters.rendering import render
from workflows.parameters.resolution import code_values, evaluate, resolve, validate

pytestmark = pytest.mark.feature("T13")


def context(*planned: int, zone: str = "UTC") -> Context:
    return Context(
        scheduled_at=datetime(*(planned or (2024, 3, 31, 5, 7, 9)), tzinfo=UTC),
        time_zone=zone,
        task_id=42,
        task_name="load",
        workflow="daily",
        project="seattle",
    )


class TestExpressions:
    """Planned 2024-03-31 05:07:09, so the data time is 2024-03-30 05:07:09."""

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ("${yyyymmdd}", "20240330"),
            ("${yyyy-mm-dd}", "2024-03-30"),
            ("${yyyy/mm/dd}", "2024/03/30"),
            ("${yy}", "24"),
            ("${yyyy}", "2024"),
            ("${mm}", "03"),
            ("${dd}", "30"),
            ("${yyyymmddhh24miss}", "20240330050709"),
            ("${yyyymmddhh}", "2024033005"),
            ("${yyyymmdd-7}", "20240323"),
            ("${yyyymmdd+1}", "20240331"),
            ("${yyyymmdd - 1}", "20240329"),
            ("${yyyymmdd-2*7}", "20240316"),
            ("${yyyy-mm-dd-7}", "2024-03-23"),
            ("${yyyymm-1}", "202402"),
            ("${yyyy-mm-1}", "2024-02"),
            ("${yyyymm-12*2}", "202203"),
            ("${yyyy-1}", "2023"),
            ("${yyyymmddhh24-6}", "2024032923"),
            ("${hh24mi-8}", "0459"),
            ("${yyyymmddhh24-6/24}", "2024032923"),
            ("${yyyymmdd-6/24}", "20240329"),
            ("${add_months(yyyymmdd,-1)}", "20240229"),
            ("${last_day(yyyymmdd)}", "20240331"),
            ("${yyyymmdd-}", "20240330-"),
        ],
    )
    @pytest.mark.item("2.1")
    def test_braces_read_the_data_time(self, value: str, text: str) -> None:
        assert evaluate(value, context()) == text

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ("$[yyyymmdd]", "20240331"),
            ("$[yyyymmdd hh24:mi:ss]", "20240331 05:07:09"),
            ("$[yyyy-mm-dd hh24:mi:ss-1/24]", "2024-03-31 04:07:09"),
            ("$[yyyymmddhh24miss-1/24]", "20240331040709"),
            ("$[yyyymmddhh24miss-30/24/60]", "20240331043709"),
            ("$[hh24miss-15/24/60]", "045209"),
            ("$[hh24mi+2*3/24]", "1107"),
            ("$[yyyymmdd-1]", "20240330"),
            ("$[yyyymm-1]", "202403"),
            ("$[yyyymm-31]", "202402"),
            ("$[yyyy-1]", "2024"),
            ("$[yyyymmdd-7*2]", "20240317"),
            ("$[add_months(yyyymmdd,-1)]", "20240229"),
            ("$[add_months(yyyymmdd, 1)]", "20240430"),
            ("$[add_months(yyyy-mm-dd,12*1)]", "2025-03-31"),
            ("$[add_months(yyyymmdd,-1)-1]", "20240228"),
            ("$[last_day(yyyymmdd)]", "20240331"),
            ("$[last_day(yyyymmdd)+1]", "20240401"),
        ],
    )
    def test_brackets_read_the_planned_time(self, value: str, text: str) -> None:
        assert evaluate(value, context()) == text

    @pytest.mark.parametrize(
        ("moment", "months", "result"),
        [
            ((2024, 1, 31), 1, (2024, 2, 29)),
            ((2023, 1, 31), 1, (2023, 2, 28)),
            ((2024, 1, 31), 2, (2024, 3, 31)),
            ((2024, 1, 31), -2, (2023, 11, 30)),
            ((2024, 2, 29), 12, (2025, 2, 28)),
            ((2024, 12, 31), 1, (2025, 1, 31)),
        ],
    )
    def test_months_end_where_the_month_ends(
        self, moment: tuple[int, int, int], months: int, result: tuple[int, int, int]
    ) -> None:
        assert add_months(datetime(*moment), months) == datetime(*result)

    def test_hours_before_the_planned_time_are_real_hours_over_a_change(self) -> None:
        # In Los Angeles 2024-03-10 03:00 follows 01:59, and 2024-11-03 01:00 comes twice.
        spring = context(2024, 3, 10, 10, zone="America/Los_Angeles")
        assert evaluate("$[yyyymmdd hh24-1/24]", spring) == "20240310 01"
        autumn = context(2024, 11, 3, 9, 30, zone="America/Los_Angeles")
        assert evaluate("$[hh24:mi]", autumn) == "01:30"
        assert evaluate("$[hh24:mi-1/24]", autumn) == "01:30"
        assert evaluate("$[hh24:mi-2/24]", autumn) == "00:30"

    def test_the_data_date_is_that_of_the_tasks_zone(self) -> None:
        late = context(2024, 5, 5, 3, zone="America/Los_Angeles")  # 4 May, 20:00
        assert evaluate("${yyyymmddhh24} $[yyyymmddhh24]", late) == "2024050320 2024050420"

    @pytest.mark.parametrize(
        ("value", "named", "position"),
        [
            ("${}", "empty", 2),
            ("${foo}", '"foo"', 2),
            ("${HOME}", '"HOME"', 2),
            ("${YYYYMMDD}", "lower case", 2),
            ("${yyyy-MM-dd}", '"MM"', 7),
            ("${yyyymmddT}", '"T"', 10),
            ("x ${yyyymmdd", "closing", 2),
            ("$[yyyymmdd", "closing", 0),
            ("${-1}", "no part of a date", 2),
            ("${yyyymmdd-7x}", '"-7x"', 10),
            ("${yyyymmdd-1/12}", '"-1/12"', 10),
            ("${yyyymmdd-1/24/24}", '"-1/24/24"', 10),
            ("${yyyymmdd7}", '"7"', 10),
            ("${yyyymmdd-9999999}", "at most", 10),
            ("$[add_years(yyyymmdd,1)]", '"add_years"', 2),
            ("$[add_months(yyyymmdd)]", "number of months", 13),
            ("$[add_months(yyyymmdd,x)]", "number of months", 13),
            ("$[add_months(yyyymmdd,1]", '")"', 23),
            ("$[add_months(foo,1)]", '"foo"', 13),
            ("$nonsense", "$nonsense", 0),
            ("a/$biz_date", "$biz_date", 2),
        ],
    )
    def test_an_error_names_the_part_and_its_place(
        self, value: str, named: str, position: int
    ) -> None:
        with pytest.raises(ExpressionError) as caught:
            evaluate(value, context())
        assert named in caught.value.message
        assert caught.value.position == position
        assert [field for field, _ in validate({"day": value})] == ["parameters.day"]

    def test_an_offset_out_of_the_calendar_is_an_error(self) -> None:
        with pytest.raises(ExpressionError, match="calendar"):
            evaluate("${yyyy-9000}", context())
        with pytest.raises(ExpressionError, match="calendar"):
            evaluate("$[yyyymmdd-1000000]", context())


class TestBuiltIns:
    def test_every_built_in_has_its_value_and_a_help_text(self) -> None:
        full = Context(
            scheduled_at=datetime(2024, 3, 31, 12, 7, 9, tzinfo=UTC),
            time_zone="America/Los_Angeles",
            task_id=42,
            task_name="load",
            workflow="daily",
            project="seattle",
            instance_id=7,
            interval_start=datetime(2024, 3, 30, 12, 7, 9, tzinfo=UTC),
            interval_end=datetime(2024, 3, 31, 12, 7, 9, tzinfo=UTC),
        )
        assert built_in_values(full) == {
            "bizdate": "20240330",
            "bizmonth": "202402",
            "gmtdate": "20240331",
            "cyctime": "20240331050709",
            "jobid": "42",
            "instance_id": "7",
            "taskname": "load",
            "workflow": "daily",
            "project": "seattle",
            "interval_start": "2024-03-30T05:07:09-07:00",
            "interval_end": "2024-03-31T05:07:09-07:00",
            "data_date": "2024-03-30",
            "data_time": "2024-03-30T05:07:09",
            "scheduled_at": "2024-03-31T05:07:09-07:00",
        }
        assert all(built_in.help for built_in in BUILT_INS.values())

    def test_what_is_unknown_is_empty(self) -> None:
        values = built_in_values(context())
        assert [values[name] for name in ("instance_id", "interval_start", "interval_end")] == [
            "",
            "",
            "",
        ]

    @pytest.mark.parametrize(
        ("planned", "month"),
        [((2024, 3, 1), "202402"), ((2024, 3, 2), "202402"), ((2024, 1, 15), "202312")],
    )
    def test_bizmonth_is_the_last_whole_month(
        self, planned: tuple[int, int, int], month: str
    ) -> None:
        assert evaluate("$bizmonth", context(*planned)) == month


class TestResolution:
    def test_a_value_mixes_text_built_ins_and_expressions(self) -> None:
        values = {
            "path": "s3://bucket/${yyyy}/$[mm]/x",
            "day": "$bizdate",
            "both": "$bizdate-${bizdate}",
            "constant": "100 %, {a} [b]",
            "empty": "",
        }
        assert resolve(values, context()) == {
            "path": "s3://bucket/2024/03/x",
            "day": "20240330",
            "both": "20240330-20240330",
            "constant": "100 %, {a} [b]",
            "empty": "",
        }

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ("$$", "$"),
            ("$$bizdate", "$bizdate"),
            ("$${yyyy}", "${yyyy}"),
            ("$$$bizdate", "$20240330"),
            ("5$", "5$"),
            ("$5", "$5"),
            ("$(date)", "$(date)"),
        ],
    )
    def test_dollar_signs_that_begin_nothing_stand_for_themselves(
        self, value: str, text: str
    ) -> None:
        assert evaluate(value, context()) == text

    def test_overrides_replace_what_the_task_has_and_nothing_else(self) -> None:
        values = resolve({"day": "$bizdate"}, context(), {"day": "${yyyymm}", "other": "x"})
        assert values == {"day": "202403"}

    def test_code_has_the_built_ins_that_no_parameter_hides(self) -> None:
        values = code_values({"bizdate": "mine", "day": "1"}, context())
        assert values["bizdate"] == "mine"
        assert values["day"] == "1"
        assert values["cyctime"] == "20240331050709"

    @pytest.mark.parametrize(
        ("parameters", "field"),
        [
            ({"1day": "x"}, "parameters.1day"),
            ({"a-b": "x"}, "parameters.a-b"),
            ({"día": "x"}, "parameters.día"),
            ({"": "x"}, "parameters."),
            ({"n" * 65: "x"}, "parameters." + "n" * 65),
            ({"day": 5}, "parameters.day"),
            ({"day": "x" * 4097}, "parameters.day"),
            ({"day": "$foo"}, "parameters.day"),
            ({"day": "${yyyymmdd-}x${"}, "parameters.day"),
            (["day"], "parameters"),
            ({f"p{number}": "" for number in range(201)}, "parameters"),
        ],
    )
    def test_faults_are_named_at_their_parameter(self, parameters: object, field: str) -> None:
        assert [where for where, _ in validate(parameters)] == [field]

    def test_good_parameters_have_no_faults(self) -> None:
        assert validate({"day": "${yyyymmdd-7}", "_x1": "$$", "at": "$cyctime"}) == []

    @given(value=st.text(alphabet="$y{}[]m-+1/24()x \0é", max_size=20))
    def test_any_text_is_evaluated_or_refused_with_a_place_in_it(self, value: str) -> None:
        try:
            evaluate(value, context())
        except ExpressionError as error:
            assert 0 <= error.position <= len(value)


class TestRendering:
    def test_known_names_are_filled_in(self) -> None:
        code = "select * from t where day = '${day}' and hour = ${hour}"
        values = {"day": "20240330", "hour": "05"}
        assert render(code, values) == "select * from t where day = '20240330' and hour = 05"

    def test_values_are_not_looked_into_again(self) -> None:
        assert render("${a}${b}", {"a": "${b}", "b": "\\1$"}) == "${b}\\1$"

    @pytest.mark.parametrize(
        "code",
        [
            "echo $HOME ${HOME} $(date) $$ `date`",
            "echo ${day:-1} ${#day} ${ day } $day {day} $[day]",
            "\r\n\t\0 é ${dáy}",
        ],
    )
    def test_all_else_stays_as_it_is(self, code: str) -> None:
        assert render(code, {"day": "x"}) == code

    @given(code=st.text(), names=st.sets(st.sampled_from(["day", "hour", "x"])))
    def test_code_without_known_names_is_never_touched(self, code: str, names: set[str]) -> None:
        assume(not any(f"${{{name}}}" in code for name in names))
        assert render(code, dict.fromkeys(names, "value")) == code
