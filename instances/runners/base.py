"""What every runner is: it turns a task into a process, and the process's end into an outcome."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from signal import Signals
from typing import Any

from instances.error_codes import ErrorCode
from workflows.definitions.task_types import TaskType


class BadConfig(ValueError):
    """A setting of the task cannot be used; `field` names it, as in `config.url`."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class Mode(StrEnum):
    """How the spawner makes the process."""

    EXEC = "exec"  # start a program; no Python interpreter in between
    CALL = "call"  # call a function in a fork of a warm interpreter


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a process. Core files are never written."""

    open_files: int | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """What holds for all tasks of a worker.

    `users`: each has a user of its own, in its launch. `ways`: folders that these must reach, also
    where only root may enter what is above them. `memory_bytes` is for each process, `processes`
    for all of a user, threads included. `new_privileges`: programs with a set-user-ID bit, such as
    sudo, do what they are for.
    """

    users: bool = False
    ways: tuple[str, ...] = ()
    memory_bytes: int | None = None
    processes: int | None = None
    new_privileges: bool = True


@dataclass(frozen=True, slots=True)
class DataSourceTarget:
    """The database of a task. The URL holds the password, so it never shows in a repr."""

    name: str
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskContext:
    """Everything about one execution that a runner may know.

    `code` has its parameters filled in already. `environment` holds only the variables that the
    task names. `work_dir` is the folder in which the execution gets a folder of its own.
    `secrets` are the values that must not appear in the log.
    """

    execution_id: int
    task_name: str
    task_type: str
    work_dir: Path
    code: str = ""
    instance_id: int | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    data_source: DataSourceTarget | None = None
    scheduled_at: str = ""
    data_date: str = ""
    time_zone: str = "UTC"
    allowed_hosts: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def scratch(self) -> Path:
        """The folder of this execution alone: its HOME, TMPDIR and working directory."""
        return self.work_dir / f"execution-{self.execution_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A process to start.

    EXEC runs `argv`; CALL runs `target` ("package.module:function") in a fork of an interpreter
    that has imported that module. `payload` is what the process reads on file descriptor 3: a
    script, or JSON with passwords in it; it is never an argument or a variable. `user` is the id
    of the user, and of the group, that it runs as; None is the worker's.
    """

    mode: Mode
    environment: Mapping[str, str] = field(repr=False)
    working_directory: Path
    argv: tuple[str, ...] = ()
    target: str = ""
    payload: bytes = field(default=b"", repr=False)
    limits: Limits = field(default_factory=Limits)
    user: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitStatus:
    """How a process ended; exactly one of the first four says so.

    `lost`: its spawner died or its lease ended, and everything was killed. `exhausted`: it did not
    start for want of a descriptor, a process or memory. `leftovers`: processes
    of the task that could not be killed (they are root's, or stuck in the kernel). `report`: what
    a CALL told.
    """

    exit_code: int | None = None
    signal: int | None = None
    lost: bool = False
    start_error: str | None = None
    exhausted: bool = False
    leftovers: int = 0
    report: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an execution failed. `code` is an `ErrorCode`, or a plugin's own."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The end of an execution: success when there is no error code.

    `log_bytes` is what the task wrote, kept or not; `duration` is in seconds.
    """

    error_code: str | None = None
    message: str = ""
    exit_code: int | None = None
    signal: int | None = None
    log_bytes: int = 0
    duration: float = 0.0
    leftovers: int = 0
    report: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.error_code is None


class Runner(ABC):
    """Turns one type of task into a process. Runners keep no state but their type."""

    def __init__(self, task_type: TaskType) -> None:
        self.task_type = task_type

    def launch(self, context: TaskContext) -> Launch | None:
        """The process to start, or None when the task is done without one.

        The settings are read by the type's fields once more: parameters are filled in by now, and
        the package may have changed. Raises BadConfig when they cannot be used.
        """
        config, faults = self.task_type.check_config(context.config)
        for field_name, message in faults:
            raise BadConfig(field_name, message)
        return self.prepare(replace(context, config=self.task_type.with_defaults(config)))

    @abstractmethod
    def prepare(self, context: TaskContext) -> Launch | None:
        """The process to start, or None when the task is done without one.

        `context.config` has every setting of the type, checked. Raises BadConfig for what only
        the runner can tell.
        """

    def explain(self, status: ExitStatus) -> Failure | None:
        """Why this end is a failure, or None when it is a success."""
        return explain_exit(status)


def explain_exit(status: ExitStatus) -> Failure | None:
    """The failure that an exit status means by itself; what the process reported comes first."""
    if status.lost:
        return Failure(
            ErrorCode.WORKER_LOST,
            "The process that starts tasks on this worker has died, or the worker could not renew"
            " the lease in time.",
        )
    if status.start_error is not None:
        return Failure(
            ErrorCode.WORKER_EXHAUSTED if status.exhausted else ErrorCode.START_FAILED,
            status.start_error,
        )
    if status.exit_code == 0:
        return None
    reported = status.report.get("error_code")
    if reported:
        return Failure(str(reported), str(status.report.get("message", "")))
    if status.signal is not None:
        return Failure(
            ErrorCode.KILLED_BY_SIGNAL, f"Killed by signal {signal_name(status.signal)}."
        )
    code = status.exit_code or 0
    message = f"Ended with exit code {code}."
    if code > 128 and code - 128 in set(Signals):
        message = f"Ended with exit code {code} (128 + {signal_name(code - 128)})."
    elif code == 127:
        message = "Ended with exit code 127: a command was not found."
    elif code == 126:
        message = "Ended with exit code 126: a command could not be executed."
    return Failure(ErrorCode.EXIT_NONZERO, message)


def signal_name(number: int) -> str:
    """`9 (SIGKILL)`; real-time signals have a number only."""
    try:
        return f"{number} ({Signals(number).name})"
    except ValueError:
        return str(number)
