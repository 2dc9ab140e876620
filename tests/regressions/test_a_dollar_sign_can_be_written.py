"""`$${name}` writes the reference itself, and a format with fixed digits is told what to write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.parameters.rendering import render
from workflows.parameters.resolution import validate

pytestmark = pytest.mark.feature("T13")

VALUES = {"day": "2024-05-01"}


@pytest.mark.parametrize(
    ("code", "written"),
    [
        ("echo $${day}", "echo ${day}"),
        ("echo ${day} $${day} ${day}", "echo 2024-05-01 ${day} 2024-05-01"),
        ("${day}$${day}", "2024-05-01${day}"),
        # What is no parameter stays as it is, to the byte.
        ("kill $$; echo $${HOME} ${HOME} $$day", "kill $$; echo $${HOME} ${HOME} $$day"),
    ],
)
def test_two_dollar_signs_escape_a_parameter(code: str, written: str) -> None:
    assert render(code, VALUES) == written


@given(st.text(st.sampled_from("$${}day x"), max_size=40))
def test_code_that_names_no_parameter_is_left_alone(code: str) -> None:
    assert render(code, {"other": "1"}) == code


@pytest.mark.parametrize(
    ("value", "inside", "after"),
    [
        ("$[yyyymmdd hh24:00:00]", "yyyymmdd hh24", ":00:00"),
        ("${yyyy-mm-dd 00:00}", "yyyy-mm-dd", " 00:00"),
        ("$[yyyymm01]", "yyyymm", "01"),
    ],
)
def test_fixed_digits_in_a_format_are_refused_with_what_to_write(
    value: str, inside: str, after: str
) -> None:
    ((field, message),) = validate({"day": value})
    assert field == "parameters.day"
    assert f'"{inside}" inside, "{after}" after them' in message
    assert validate({"day": f"{value[:2]}{inside}{value[-1]}{after}"}) == []
