"""The features report, and the record that the tests keep for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.features_report import (
    CATALOGUE,
    DIFFERENCES,
    catalogue,
    decided,
    main,
    report,
)

pytest_plugins = ["pytester"]

_TABLE = """\
# Features
| id | what |
|---|---|
| T9 | Submission. |
| B10 | Run mode, as in T11. |
| 2.10 | A day after the other. |
| B10.1 | Groups of dates. |
"""


def test_the_catalogue_lists_every_feature_once_in_its_order() -> None:
    ids = list(catalogue(CATALOGUE.read_text(encoding="utf-8")))
    letters = {"W": 9, "T": 13, "I": 16, "E": 4, "B": 29, "A": 2, "P": 5, "R": 4, "X": 10, "U": 11}
    assert ids == [f"{letter}{n + 1}" for letter, count in letters.items() for n in range(count)]


def test_only_ids_in_the_first_cell_of_a_row_count() -> None:
    assert catalogue(_TABLE) == {"T9": [], "B10": ["2.10", "B10.1"]}


def test_what_is_decided_against_is_in_the_catalogue_or_says_that_it_has_no_row() -> None:
    rows = catalogue(CATALOGUE.read_text(encoding="utf-8"))
    without_row = {"2.11", "2.59"}
    items = {item for items in rows.values() for item in items}
    assert decided(DIFFERENCES.read_text(encoding="utf-8")) <= items | without_row


@pytest.mark.parametrize(
    ("outcomes", "line"),
    [
        ({}, "T9   gap"),
        ({"a": "skipped"}, "T9   gap"),
        ({"a": "passed"}, "T9   ok   1 test"),
        ({"a": "passed", "b": "passed", "c": "skipped"}, "T9   ok   2 tests"),
        ({"a": "passed", "b": "failed"}, "T9   FAIL 2 tests"),
    ],
)
def test_a_feature_is_ok_only_when_its_tests_ran_and_passed(
    outcomes: dict[str, str], line: str
) -> None:
    assert [str(found) for found in report({"T9": []}, {"T9": outcomes})] == [line]


@pytest.mark.parametrize(
    ("results", "differences", "line"),
    [
        ({"B10": {"a": "passed"}}, (), "B10  part 0/2 items, 1 test"),
        ({"2.10": {"a": "passed"}}, (), "B10  part 1/2 items, 1 test"),
        ({"2.10": {"a": "skipped"}}, (), "B10  gap  0/2 items"),
        ({"2.10": {"a": "passed"}, "B10.1": {"a": "passed"}}, (), "B10  ok   2/2 items, 1 test"),
        ({"2.10": {"a": "passed"}, "B10.1": {"b": "failed"}}, (), "B10  FAIL 1/2 items, 2 tests"),
        ({"B10.1": {"a": "passed"}}, {"2.10"}, "B10  ok   2/2 items, 1 test"),
    ],
)
def test_a_feature_is_whole_when_every_item_is_proved_or_decided_against(
    results: dict[str, dict[str, str]], differences: set[str], line: str
) -> None:
    assert [str(one) for one in report({"B10": ["2.10", "B10.1"]}, results, differences)] == [line]


@pytest.mark.parametrize(
    ("results", "code"),
    [
        ({"T9": {"a": "passed"}}, 0),
        ({"T9": {"a": "failed"}}, 1),
        ({"2.10": {"a": "passed"}}, 0),
        ({"Z1": {"a": "passed"}}, 1),
    ],
)
def test_the_exit_code_tells_of_failures_and_of_unknown_features(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    results: dict[str, dict[str, str]],
    code: int,
) -> None:
    (tmp_path / "results.json").write_text(json.dumps(results))
    (tmp_path / "features.md").write_text(_TABLE)
    arguments = [str(tmp_path / "results.json"), "--catalogue", str(tmp_path / "features.md")]
    assert main(arguments) == code
    output = capsys.readouterr()
    assert output.out.splitlines()[0].split()[0] == "T9"
    assert ("Z1 is not in the catalogue" in output.err) == ("Z1" in results)


@pytest.mark.parametrize("beside", [(), ("-n", "2", "--dist", "loadgroup")])
def test_the_record_keeps_the_worst_outcome_of_every_marked_test(
    pytester: pytest.Pytester, beside: tuple[str, ...]
) -> None:
    conftest = Path(__file__).parent.parent / "conftest.py"
    pytester.makeconftest(conftest.read_text(encoding="utf-8"))
    pytester.makeini("[pytest]\nmarkers =\n feature(*ids): ids\n item(*ids): ids\n")
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def breaks_afterwards():
            yield
            raise RuntimeError

        @pytest.mark.feature("B1", "B2")
        def test_passes(): pass

        @pytest.mark.feature("B1")
        @pytest.mark.item("2.10", "B1.1")
        def test_fails(): assert False

        @pytest.mark.feature("B2")
        def test_skips(): pytest.skip()

        @pytest.mark.feature("B3")
        def test_fails_in_teardown(breaks_afterwards): pass

        def test_unmarked(): pass
        """
    )
    pytester.runpytest_subprocess("-p", "no:django", *beside, "--features-json", "results.json")
    results = json.loads((pytester.path / "results.json").read_text())
    outcomes = {
        feature: {test.split("::")[1].split("@")[0]: outcome for test, outcome in tests.items()}
        for feature, tests in results.items()
    }
    assert outcomes == {
        "B1": {"test_passes": "passed", "test_fails": "failed"},
        "B2": {"test_passes": "passed", "test_skips": "skipped"},
        "B3": {"test_fails_in_teardown": "failed"},
        "2.10": {"test_fails": "failed"},
        "B1.1": {"test_fails": "failed"},
    }
