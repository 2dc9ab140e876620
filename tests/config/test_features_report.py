"""The features report, and the record that the tests keep for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from config.features_report import CATALOGUE, catalogue_ids, main, partial_ids, report

pytest_plugins = ["pytester"]

_TABLE = """\
# Features
| id | what |
|---|---|
| T9 | Submission. |
| B10 | Run mode, as in T11. |
"""


def test_the_catalogue_lists_every_feature_once_in_its_order() -> None:
    ids = catalogue_ids(CATALOGUE.read_text(encoding="utf-8"))
    letters = {"W": 9, "T": 13, "I": 16, "E": 4, "B": 29, "A": 2, "P": 5, "R": 4}
    assert ids == [f"{letter}{n + 1}" for letter, count in letters.items() for n in range(count)]


def test_only_ids_in_the_first_cell_of_a_row_count() -> None:
    assert catalogue_ids(_TABLE) == ["T9", "B10"]


@pytest.mark.parametrize(
    ("outcomes", "line"),
    [
        ({}, "B10  gap"),
        ({"a": "skipped"}, "B10  gap"),
        ({"a": "passed"}, "B10  ok   1 test"),
        ({"a": "passed", "b": "passed", "c": "skipped"}, "B10  ok   2 tests"),
        ({"a": "passed", "b": "failed"}, "B10  FAIL 2 tests"),
    ],
)
def test_a_feature_is_ok_only_when_its_tests_ran_and_passed(
    outcomes: dict[str, str], line: str
) -> None:
    assert [str(found) for found in report(["B10"], {"B10": outcomes})] == [line]


def test_a_feature_that_is_listed_as_not_whole_is_no_more_than_a_part() -> None:
    partial = partial_ids("- B10: no groups yet.\nT9 stands here for nothing.\n")
    results = {"B10": {"a": "passed"}, "T9": {"a": "passed"}}
    lines = [str(line) for line in report(["B10", "T9"], results, partial)]
    assert lines == ["B10  part 1 test", "T9   ok   1 test"]


def test_what_is_listed_as_not_whole_is_in_the_catalogue() -> None:
    text = CATALOGUE.read_text(encoding="utf-8")
    assert partial_ids(text) <= set(catalogue_ids(text))


@pytest.mark.parametrize(
    ("results", "code"),
    [
        ({"T9": {"a": "passed"}}, 0),
        ({"T9": {"a": "failed"}}, 1),
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


def test_the_record_keeps_the_worst_outcome_of_every_marked_test(
    pytester: pytest.Pytester,
) -> None:
    conftest = Path(__file__).parent.parent / "conftest.py"
    pytester.makeconftest(conftest.read_text(encoding="utf-8"))
    pytester.makeini("[pytest]\nmarkers = feature(*ids): ids\n")
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
        def test_fails(): assert False

        @pytest.mark.feature("B2")
        def test_skips(): pytest.skip()

        @pytest.mark.feature("B3")
        def test_fails_in_teardown(breaks_afterwards): pass

        def test_unmarked(): pass
        """
    )
    pytester.runpytest_subprocess("-p", "no:django", "--features-json", "results.json")
    results = json.loads((pytester.path / "results.json").read_text())
    outcomes = {
        feature: {test.split("::")[1]: outcome for test, outcome in tests.items()}
        for feature, tests in results.items()
    }
    assert outcomes == {
        "B1": {"test_passes": "passed", "test_fails": "failed"},
        "B2": {"test_passes": "passed", "test_skips": "skipped"},
        "B3": {"test_fails_in_teardown": "failed"},
    }
