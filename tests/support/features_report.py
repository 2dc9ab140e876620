"""What the tests prove, feature by feature: the catalogue of docs/features.md beside a test run.

Run after the tests: `python -m tests.support.features_report RESULTS.json`. The results come from
the tests (tests/conftest.py, option --features-json): for each feature and item, each test's
outcome. A row of the catalogue is a feature (`| B10 | … |`) or, below it, one of its items
(`| 2.10 | … |`). An item is proved by its tests, or decided against, with its number, in
docs/decisions/reference-differences.md.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_DOCS = Path(__file__).resolve().parents[2] / "docs"
CATALOGUE = _DOCS / "features.md"
DIFFERENCES = _DOCS / "decisions" / "reference-differences.md"
_FEATURE = re.compile(r"^\|\s*([A-Z][0-9]+)\s*\|")
_ITEM = re.compile(r"^\|\s*((?:[0-9]|[A-Z][0-9]+)\.[0-9]+)\s*\|")
_DECIDED = re.compile(r"^- ([0-9]\.[0-9]+): ")

# Feature or item → test → "passed", "failed" or "skipped".
Results = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Line:
    """One feature. passed and failed count tests; a skipped test proves nothing either way.

    items: how many items it has; proved: how many of them are proved or decided against.
    """

    feature: str
    passed: int
    failed: int
    items: int = 0
    proved: int = 0

    @property
    def verdict(self) -> str:
        """FAIL when a test failed, gap when none passed, part when an item is not proved."""
        if self.failed:
            return "FAIL"
        if not self.passed:
            return "gap"
        return "ok" if self.proved == self.items else "part"

    def __str__(self) -> str:
        count = self.passed + self.failed
        tests = f"{count} test{'' if count == 1 else 's'}" if count else ""
        items = f"{self.proved}/{self.items} items" if self.items else ""
        told = ", ".join(part for part in (items, tests) if part)
        return f"{self.feature:<4} {self.verdict:<4} {told}".rstrip()


def catalogue(text: str) -> dict[str, list[str]]:
    """The features of the catalogue, in its order, each with the items that stand below it."""
    found: dict[str, list[str]] = {}
    items: list[str] = []
    for line in text.splitlines():
        if match := _FEATURE.match(line):
            items = found.setdefault(match[1], [])
        elif match := _ITEM.match(line):
            items.append(match[1])
    return found


def decided(text: str) -> frozenset[str]:
    """The items that are different on purpose: `- 2.11: why`."""
    return frozenset(match[1] for line in text.splitlines() if (match := _DECIDED.match(line)))


def report(
    rows: Mapping[str, Sequence[str]], results: Results, differences: Collection[str] = ()
) -> list[Line]:
    """One line for each feature of the catalogue."""

    def count(outcome: str, *names: str) -> int:
        tests = {test: result for name in names for test, result in results.get(name, {}).items()}
        return sum(result == outcome for result in tests.values())

    return [
        Line(
            feature,
            passed=count("passed", feature, *items),
            failed=count("failed", feature, *items),
            items=len(items),
            proved=sum(bool(count("passed", item)) or item in differences for item in items),
        )
        for feature, items in rows.items()
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report. Exit code 1 when a feature fails or a test names what is not there."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("results", type=Path, help="the file written by pytest --features-json")
    parser.add_argument("--catalogue", type=Path, default=CATALOGUE)
    options = parser.parse_args(arguments)
    rows = catalogue(options.catalogue.read_text(encoding="utf-8"))
    results = json.loads(options.results.read_text(encoding="utf-8"))
    lines = report(rows, results, decided(DIFFERENCES.read_text(encoding="utf-8")))
    for line in lines:
        sys.stdout.write(f"{line}\n")
    verdicts = ("ok", "part", "gap", "FAIL")
    counts = {name: sum(line.verdict == name for line in lines) for name in verdicts}
    sys.stdout.write("features: " + ", ".join(f"{n} {name}" for name, n in counts.items()) + "\n")
    unknown = sorted(set(results) - set(rows) - {item for items in rows.values() for item in items})
    for name in unknown:
        tests = ", ".join(sorted(results[name]))
        sys.stderr.write(f"{name} is not in the catalogue, but marked on: {tests}\n")
    return 1 if counts["FAIL"] or unknown else 0


if __name__ == "__main__":
    sys.exit(main())
