"""What every test shares: the record of which features the run proves."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path

import pytest

# feature id → test → outcome; a test that fails in setup, call or teardown has failed.
_RESULTS = pytest.StashKey[dict[str, dict[str, str]]]()
_SEVERITY = ("passed", "skipped", "failed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--features-json",
        type=Path,
        metavar="PATH",
        help="write the outcome of every test marked with a feature id to this file",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_RESULTS] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    results = item.config.stash[_RESULTS]
    for mark in item.iter_markers("feature"):
        for feature in mark.args:
            tests = results.setdefault(feature, {})
            known = tests.get(item.nodeid, "passed")
            tests[item.nodeid] = max(known, report.outcome, key=_SEVERITY.index)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    path: Path | None = session.config.getoption("--features-json")
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(session.config.stash[_RESULTS], indent=1), encoding="utf-8")
