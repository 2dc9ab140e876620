"""Default names of plans."""

from __future__ import annotations

import re
from datetime import datetime

import pytest

from backfill.names import default_name

MOMENT = datetime(2023, 6, 24, 19, 59, 44)


@pytest.mark.feature("B1")
@pytest.mark.item("0.4", "2.19")
def test_the_name_says_when_and_has_a_number_of_three_digits() -> None:
    assert re.fullmatch(r"patch_20230624195944_\d{3}", default_name(MOMENT, ()))


@pytest.mark.feature("B1")
def test_a_name_that_is_taken_is_not_given_again() -> None:
    taken = {f"patch_20230624195944_{number:03d}" for number in range(1000)}
    taken.discard("patch_20230624195944_548")
    assert default_name(MOMENT, taken) == "patch_20230624195944_548"


def test_a_second_without_a_free_name_is_an_error() -> None:
    taken = {f"patch_20230624195944_{number:03d}" for number in range(1000)}
    with pytest.raises(ValueError, match="taken"):
        default_name(MOMENT, taken)
