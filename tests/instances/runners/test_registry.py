"""Runners are found, and a broken plugin breaks nothing (T10)."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from instances.runners.base import ExitStatus, Launch, Runner, TaskContext, explain_exit
from instances.runners.error_codes import EXPLANATIONS, ErrorCode, explain
from instances.runners.registry import (
    ENTRY_POINT_GROUP,
    Registry,
    UnknownTaskType,
    get_runner,
    runner_types,
)

pytestmark = pytest.mark.feature("T10")


class Plugin(Runner):
    type = "plugin"
    title = "From a plugin"

    def prepare(self, context: TaskContext) -> Launch | None:
        return None


class Thief(Plugin):
    type = "shell"


class Nameless(Runner):
    def prepare(self, context: TaskContext) -> Launch | None:
        return None


def _point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, ENTRY_POINT_GROUP)


def test_the_types_of_the_product_are_there() -> None:
    assert list(runner_types()) == ["shell", "python", "sql", "http", "virtual"]


def test_plugins_add_types_and_broken_ones_are_named() -> None:
    here = __name__
    registry = Registry(
        [
            _point("good", f"{here}:Plugin"),
            _point("thief", f"{here}:Thief"),
            _point("nameless", f"{here}:Nameless"),
            _point("abstract", "instances.runners.base:Runner"),
            _point("wrong", "pathlib:Path"),
            _point("missing", "no_such_module:Runner"),
        ]
    )
    assert isinstance(registry.get("plugin"), Plugin)
    assert not isinstance(registry.get("shell"), Thief)
    assert set(registry.broken) == {"thief", "nameless", "abstract", "wrong", "missing"}
    assert "no_such_module" in registry.broken["missing"]
    assert "'shell' is taken" in registry.broken["thief"]


def test_an_unknown_type_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(UnknownTaskType, match=r"cobol.*shell"):
        get_runner("cobol")


def test_a_virtual_task_has_no_process(tmp_path: Path) -> None:
    context = TaskContext(execution_id=1, task_name="t", task_type="virtual", work_dir=tmp_path)
    assert get_runner("virtual").prepare(context) is None


@pytest.mark.feature("I12")
def test_every_error_code_is_explained() -> None:
    assert set(EXPLANATIONS) == set(ErrorCode)
    for code in ErrorCode:
        text = explain(code)
        assert text.title and text.explanation and text.likely_cause and text.what_to_do
    assert explain("MADE_UP").title == "Made up"


@pytest.mark.feature("I12")
@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (ExitStatus(lost=True), ErrorCode.WORKER_LOST, "died"),
        (ExitStatus(start_error="No such file"), ErrorCode.START_FAILED, "No such file"),
        (ExitStatus(exit_code=1), ErrorCode.EXIT_NONZERO, "exit code 1"),
        (ExitStatus(exit_code=127), ErrorCode.EXIT_NONZERO, "not found"),
        (ExitStatus(exit_code=126), ErrorCode.EXIT_NONZERO, "could not be executed"),
        (ExitStatus(exit_code=137), ErrorCode.EXIT_NONZERO, "SIGKILL"),
        (ExitStatus(exit_code=255), ErrorCode.EXIT_NONZERO, "255"),
        (ExitStatus(signal=11), ErrorCode.KILLED_BY_SIGNAL, "SIGSEGV"),
        (ExitStatus(signal=40), ErrorCode.KILLED_BY_SIGNAL, "40"),
        (ExitStatus(exit_code=1, report={"error_code": "X", "message": "m"}), "X", "m"),
    ],
)
def test_ends_are_explained(status: ExitStatus, code: str, words: str) -> None:
    failure = explain_exit(status)
    assert failure is not None
    assert failure.code == code
    assert words in failure.message


def test_exit_code_zero_is_a_success() -> None:
    assert explain_exit(ExitStatus(exit_code=0)) is None
