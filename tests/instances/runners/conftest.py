"""A spawner client for the tests, and one call that runs a task and gives its log."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from instances.logs.collecting import LogCollector
from instances.runners.base import Outcome, TaskContext
from instances.runners.registry import get_runner
from instances.runners.running import run_launch
from instances.runners.spawner.client import SpawnerClient

Run = Callable[..., tuple[Outcome, str]]
_numbers = itertools.count(1)


@pytest.fixture(scope="package")
def client() -> Iterator[SpawnerClient]:
    client = SpawnerClient()
    yield client
    client.close()


@pytest.fixture
def run(client: SpawnerClient, tmp_path: Path) -> Run:
    """run(type, code, timeout=…, should_stop=…, grace=…, heard=…, **context) → (outcome, log)."""

    def run_it(
        task_type: str,
        code: str,
        *,
        client: SpawnerClient = client,
        timeout: float | None = 60,
        should_stop: Callable[[], str | None] | None = None,
        grace: float = 2.0,
        heard: Callable[[str], None] = lambda text: None,
        **context: Any,
    ) -> tuple[Outcome, str]:
        chunks: dict[int, str] = {}

        def store(sequence: int, text: str) -> None:
            chunks[sequence] = text
            heard(text)

        context = {
            "execution_id": next(_numbers),
            "task_name": "a task",
            "work_dir": tmp_path / "work",
            **context,
        }
        made = TaskContext(task_type=task_type, code=code, **context)
        runner = get_runner(task_type)
        launch = runner.launch(made)
        assert launch is not None
        collector = LogCollector(store, secrets=made.secrets)
        outcome = run_launch(
            launch,
            client=client,
            collector=collector,
            runner=runner,
            timeout=timeout,
            should_stop=should_stop,
            grace=grace,
        )
        assert list(chunks) == list(range(len(chunks)))
        assert not made.scratch.exists()
        return outcome, "".join(chunks.values())

    return run_it
