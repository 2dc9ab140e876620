"""What every test shares: the record of which features the run proves, and who runs beside whom."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.utils import translation
from hypothesis import HealthCheck, settings

# feature or item → test → outcome; a test that fails in setup, call or teardown has failed.
_RESULTS = pytest.StashKey[dict[str, dict[str, str]]]()
_SEVERITY = ("passed", "skipped", "failed")
_FEATURE = "feature"
_HERE = Path(__file__).parent
# Tests of these folders are one after the other when tests run side by side: they want the
# machine's services, its processes or its clock. Those that take longest come first.
_ALONE = ("instances/races", "distributed", "browser", "config/embedded", "instances/runners")
# Modules that take longer than their number of tests lets one expect; they come next.
_LONG = ("scenarios/closed_box", "regressions", "instances/model", "admin/test_filters.py")

# The same examples in each run, and no clock: a run that fails does so because of a change. For
# others: --hypothesis-profile=default.
settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("repeatable")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--features-json",
        type=Path,
        metavar="PATH",
        help="write the outcome of every test marked with a feature id to this file",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_RESULTS] = {}
    if hasattr(config, "workerinput"):  # one of many; alone, pytest-django's order is the best
        config.pluginmanager.register(_Order())


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks at the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(_HERE).parent.as_posix()
        group = next((one for one in _ALONE if folder.startswith(one)), None)
        # A module stays together as well: what it shares is made once.
        item.add_marker(pytest.mark.xdist_group(group or str(item.path)))


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The database of pytest-django: quickly emptied, and ended though a session was left behind.

    As one is whose process was killed, or whose connection fell silent.
    """
    from django.db import connection

    from tests.support.flushing import quick_flush

    with quick_flush():
        yield
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.fixture(autouse=True)
def _no_language() -> Iterator[None]:
    """A request of a test client leaves its language to the thread: not to the next test."""
    yield
    if django_settings.configured:
        translation.deactivate()


class _Order:
    """Hands out what takes long before what does not: no worker has it before it in the end."""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        sizes = Counter(_group_of(item) for item in items)
        items.sort(key=lambda item: (_rank(item), -sizes[_group_of(item)]))


def _group_of(item: pytest.Item) -> str:
    mark = item.get_closest_marker("xdist_group")
    assert mark is not None
    return str(mark.args[0])


def _rank(item: pytest.Item) -> int:
    path = item.path.relative_to(_HERE).as_posix()
    first = (*_ALONE, *_LONG)
    return next((at for at, one in enumerate(first) if path.startswith(one)), len(first))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    features = {
        name
        for kind in ("feature", "item")
        for mark in item.iter_markers(kind)
        for name in mark.args
    }
    # Properties travel from the process of the test to the one that writes the record.
    report.user_properties += [(_FEATURE, feature) for feature in sorted(features)]
    return report


class _Record:
    """Notes outcomes where they arrive: in the one process, or the one that hands out tests."""

    def __init__(self, results: dict[str, dict[str, str]]) -> None:
        self.results = results

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, feature in report.user_properties:
            if name == _FEATURE:
                tests = self.results.setdefault(str(feature), {})
                known = tests.get(report.nodeid, "passed")
                tests[report.nodeid] = max(known, report.outcome, key=_SEVERITY.index)


def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.pluginmanager.register(_Record(session.config.stash[_RESULTS]))


def pytest_sessionfinish(session: pytest.Session) -> None:
    path: Path | None = session.config.getoption("--features-json")
    if path is not None and not hasattr(session.config, "workerinput"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(session.config.stash[_RESULTS], indent=1), encoding="utf-8")
