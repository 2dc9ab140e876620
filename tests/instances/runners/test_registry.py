"""Runners are found, and a broken plugin breaks nothing (T10)."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from instances.error_codes import ErrorCode
from instances.error_codes.explanations import EXPLANATIONS, explain
from instances.runners.base import ExitStatus, Launch, Runner, TaskContext, explain_exit
from instances.runners.registry import UnknownTaskType, get_runner
from workflows.definitions import task_types as task_types_module
from workflows.definitions.task_types import ENTRY_POINT_GROUP, TaskType, task_types

pytestmark = pytest.mark.feature("T10")


class Plugin(Runner):
    def prepare(self, context: TaskContext) -> Launch | None:
        return None


def _type(name: str, runner: str) -> TaskType:
    return TaskType(name=name, label="From a plugin", help="Does nothing.", runner=runner)


GOOD = _type("plugin", f"{__name__}:Plugin")
THIEF = _type("shell", f"{__name__}:Plugin")
WRONG = _type("wrong", "pathlib:Path")
MISSING = _type("missing", "no_such_module:Runner")
ABSTRACT = _type("abstract", "instances.runners.base:Runner")
RUNNERLESS = _type("runnerless", "")


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    names = ("GOOD", "THIEF", "WRONG", "MISSING", "ABSTRACT", "RUNNERLESS")
    found = [EntryPoint(name, f"{__name__}:{name}", ENTRY_POINT_GROUP) for name in names]
    monkeypatch.setattr(task_types_module, "entry_points", lambda group: found)
    task_types.cache_clear()
    yield
    task_types.cache_clear()


def test_every_type_of_the_product_has_its_runner() -> None:
    assert list(task_types()) == ["shell", "python", "sql", "http", "virtual"]
    for name, task_type in task_types().items():
        assert get_runner(name).task_type is task_type


def test_one_entry_point_brings_a_type_and_its_runner(plugins: None) -> None:
    assert isinstance(get_runner("plugin"), Plugin)
    assert not isinstance(get_runner("shell"), Plugin)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("wrong", "not a subclass"),
        ("missing", "no_such_module"),
        ("abstract", "abstract"),
        ("runnerless", "ValueError"),
    ],
)
def test_a_runner_that_cannot_be_loaded_is_named_and_holds_up_no_other(
    plugins: None, name: str, words: str
) -> None:
    with pytest.raises(UnknownTaskType, match=words):
        get_runner(name)
    assert isinstance(get_runner("plugin"), Plugin)


def test_an_unknown_type_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(UnknownTaskType, match=r"cobol.*shell"):
        get_runner("cobol")


def test_a_virtual_task_has_no_process(tmp_path: Path) -> None:
    context = TaskContext(execution_id=1, task_name="t", task_type="virtual", work_dir=tmp_path)
    assert get_runner("virtual").launch(context) is None


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
