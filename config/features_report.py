"""What the tests prove, feature by feature: the catalogue of docs/features.md beside a test run.

Run after the tests: `python -m config.features_report RESULTS.json`. The results are written by the
tests (tests/conftest.py, option --features-json): for each feature id, each test's outcome.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CATALOGUE = Path(__file__).resolve().parent.parent / "docs" / "features.md"
_ROW = re.compile(r"^\|\s*([A-Z][0-9]+)\s*\|")
_PART = re.compile(r"^- ([A-Z][0-9]+): ")


@dataclass(frozen=True, slots=True)
class Line:
    """One feature. passed and failed count tests; a skipped test proves nothing either way."""

    feature: str
    passed: int
    failed: int
    is_whole: bool = True

    @property
    def verdict(self) -> str:
        """FAIL when a test failed, gap when none passed, part when not all of it is built."""
        if self.failed:
            return "FAIL"
        if not self.passed:
            return "gap"
        return "ok" if self.is_whole else "part"

    def __str__(self) -> str:
        count = self.passed + self.failed
        tests = f"{count} test{'' if count == 1 else 's'}" if count else ""
        return f"{self.feature:<4} {self.verdict:<4} {tests}".rstrip()


def catalogue_ids(text: str) -> list[str]:
    """The feature ids of the catalogue, in its order: the first cell of every table row."""
    return [match[1] for line in text.splitlines() if (match := _ROW.match(line))]


def partial_ids(text: str) -> frozenset[str]:
    """The features that the catalogue lists as not whole yet: `- I5: what is missing`."""
    return frozenset(match[1] for line in text.splitlines() if (match := _PART.match(line)))


def report(
    ids: Sequence[str],
    results: Mapping[str, Mapping[str, str]],
    partial: Collection[str] = (),
) -> list[Line]:
    """One line for each id; results map feature id → test → "passed", "failed" or "skipped"."""
    return [
        Line(
            feature,
            passed=sum(outcome == "passed" for outcome in results.get(feature, {}).values()),
            failed=sum(outcome == "failed" for outcome in results.get(feature, {}).values()),
            is_whole=feature not in partial,
        )
        for feature in ids
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report. Exit code 1 when a feature fails or a test names an unknown feature."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("results", type=Path, help="the file written by pytest --features-json")
    parser.add_argument("--catalogue", type=Path, default=CATALOGUE)
    options = parser.parse_args(arguments)
    catalogue = options.catalogue.read_text(encoding="utf-8")
    ids = catalogue_ids(catalogue)
    results = json.loads(options.results.read_text(encoding="utf-8"))
    lines = report(ids, results, partial_ids(catalogue))
    for line in lines:
        sys.stdout.write(f"{line}\n")
    verdicts = ("ok", "part", "gap", "FAIL")
    counts = {name: sum(line.verdict == name for line in lines) for name in verdicts}
    sys.stdout.write("features: " + ", ".join(f"{n} {name}" for name, n in counts.items()) + "\n")
    unknown = sorted(set(results) - set(ids))
    for feature in unknown:
        tests = ", ".join(sorted(results[feature]))
        sys.stderr.write(f"{feature} is not in the catalogue, but marked on: {tests}\n")
    return 1 if counts["FAIL"] or unknown else 0


if __name__ == "__main__":
    sys.exit(main())
