"""Fault tests run when they are asked for, by `make test-faults`: pytest -m faults."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.breaking import Stage
from tests.faults.servers import Broker, Postgres


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "faults" in str(config.getoption("markexpr")):
        return
    here = Path(__file__).parent
    mine = [
        item for item in items if here in item.path.parents and item.get_closest_marker("faults")
    ]
    if mine:
        config.hook.pytest_deselected(items=mine)
        items[:] = [item for item in items if item not in mine]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user can enter: a root's PostgreSQL has a user of its own."""
    path = Path(tempfile.mkdtemp(prefix="tidemill-faults-", dir="/tmp"))
    path.chmod(0o711)
    (path / "data").mkdir(mode=0o711)
    yield path
    for log in sorted(path.glob("*.log")):  # pytest shows them when the test failed
        print(f"--- {log.name}\n{log.read_text(errors='replace')[-8000:]}")
    shutil.rmtree(path)


@pytest.fixture
def stage(request: pytest.FixtureRequest, folder: Path) -> Iterator[Stage]:
    """A stage with the broker that is the parameter."""
    program: type[Broker] = request.param
    if program.program() is None:
        message = f"there is no {program.name} server on this machine"
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)
    with ExitStack() as ends:
        postgres = Postgres(folder / "data")
        ends.callback(postgres.delete)
        broker = program(folder / "broker")
        ends.callback(broker.kill)
        stage = Stage(folder, postgres, broker)
        ends.callback(stage.product.destroy)
        yield stage


@pytest.fixture
def say(capfd: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Prints at once, past pytest."""

    def print_now(text: str) -> None:
        with capfd.disabled():
            print(text, flush=True)

    return print_now


@pytest.fixture(scope="session")
def instances() -> int:
    """How many instances each plan has: FAULTS_INSTANCES, rounded to whole days of the plan."""
    return max(int(os.environ.get("FAULTS_INSTANCES", "2000")) // 20, 1) * 20
