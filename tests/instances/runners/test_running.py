"""What tasks may do to a worker, and what is left of it: nothing."""

from __future__ import annotations

import contextlib
import os
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from instances.error_codes import ErrorCode
from instances.logs.collecting import HEAD_BYTES, TAIL_BYTES, LogCollector
from instances.runners.base import Launch, Limits, Mode
from instances.runners.running import run_launch
from instances.runners.spawner.client import SpawnerClient
from tests.instances.runners.conftest import Run
from tests.instances.runners.processes import unique_seconds, with_argument
from tests.support.waiting import takes_less_than, wait_for


def test_a_script_succeeds_and_its_output_is_the_log(run: Run) -> None:
    outcome, log = run("shell", "echo one; echo two >&2; echo drei ✓")
    assert outcome.ok
    assert (outcome.exit_code, outcome.log_bytes) == (0, 17)
    assert log == "one\ntwo\ndrei ✓\n"


def test_an_exit_code_other_than_zero_is_a_failure(run: Run) -> None:
    outcome, log = run("shell", "exit 3")
    assert (outcome.error_code, outcome.exit_code) == (ErrorCode.EXIT_NONZERO, 3)
    assert log == "[tidemill] Ended with exit code 3.\n"


def test_a_foreign_signal_is_told_apart(run: Run) -> None:
    outcome, _ = run("shell", "kill -9 $$")
    assert (outcome.error_code, outcome.signal) == (ErrorCode.KILLED_BY_SIGNAL, 9)
    assert "SIGKILL" in outcome.message


@pytest.mark.feature("I4")
def test_200_megabytes_of_output_are_bounded_and_hold_nothing_up(run: Run) -> None:
    tracemalloc.start()
    try:
        outcome, log = run("shell", "yes 0123456789abcdef | head -c 200000000")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert outcome.ok
    assert outcome.log_bytes == 200_000_000
    assert HEAD_BYTES + TAIL_BYTES - 4096 < len(log) < HEAD_BYTES + TAIL_BYTES + 4096
    assert "bytes of output were left out here" in log
    assert peak < 32 * 1024 * 1024


def test_bytes_that_are_no_text_do_not_hurt(run: Run) -> None:
    outcome, log = run("shell", r"printf 'a\377b\000c\303\251\303'")
    assert outcome.ok
    assert log == "a\ufffdb␀cé\ufffd"


@pytest.mark.feature("I4")
@pytest.mark.parametrize(
    "way",
    [
        "sleep {} &",
        "setsid sleep {} &",
        "(setsid sleep {} &) &",
        "env -i setsid sh -c 'sleep {} & sleep {} & wait' >/dev/null 2>&1 </dev/null &",
        "(trap '' TERM HUP; exec setsid sh -c 'trap \"\" TERM; sleep {}; true') &",
    ],
)
def test_nothing_that_a_task_started_outlives_it(run: Run, way: str) -> None:
    seconds = unique_seconds()
    code = way.replace("{}", seconds)
    outcome, _ = run("shell", f"{code}\nuntil pgrep -f 'sleep {seconds}'; do :; done; exit 0")
    assert outcome.ok
    assert with_argument(seconds) == set()


@pytest.mark.feature("I4")
@pytest.mark.parametrize(
    "code",
    [
        "sleep {}",
        "trap '' TERM; sleep {} & while :; do sleep 1; done",
        "setsid sleep {} & env -i setsid sh -c \"trap '' TERM; sleep {}; :\" & wait",
        "sleep {} & until pgrep -f 'sleep {}'; do :; done; kill -STOP $! $$",
    ],
)
def test_terminate_leaves_nothing_within_5_seconds(run: Run, code: str) -> None:
    def terminate() -> float:
        seconds = unique_seconds()
        stopped_at: list[float] = []

        def should_stop() -> str | None:
            if not with_argument(seconds):
                return None
            stopped_at.append(time.monotonic())
            return ErrorCode.TERMINATED

        outcome, log = run("shell", code.replace("{}", seconds), should_stop=should_stop)
        took = time.monotonic() - stopped_at[0]
        assert outcome.error_code == ErrorCode.TERMINATED
        assert with_argument(seconds) == set()
        assert "[tidemill] Terminated.\n" in log
        return took

    assert takes_less_than(5, terminate)


@pytest.mark.feature("I4")
def test_processes_that_fork_without_end_are_killed(run: Run, tmp_path: Path) -> None:
    # At most 20 at a time, each of which starts a successor in a session of its own and ends.
    # Their folder tells them from all other processes of the machine.
    code = f"""
import os, signal, sys, time
os.chdir({str(tmp_path)!r})
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(20):
    if os.fork() == 0:
        while True:
            if os.fork():
                os._exit(0)
            os.setsid()
            time.sleep(0.005)
print("going", flush=True)
time.sleep(3600)
"""
    asked = iter(range(10**6))

    def should_stop() -> str | None:
        return "it forks" if next(asked) >= 2 and _processes_in(tmp_path) else None

    outcome, _ = run("python", code, should_stop=should_stop, grace=0.2)
    assert outcome.error_code == ErrorCode.TERMINATED
    assert outcome.message == "Stopped: it forks."
    # Nothing is left, and nothing keeps on coming.
    wait_for(lambda: _processes_in(tmp_path) == 0)


def _processes_in(folder: Path) -> int:
    found = 0
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):  # it ended, or is none of ours
            found += process.name.isdigit() and (process / "cwd").readlink() == folder
    return found


def test_the_processes_below_a_killed_shell_have_time_to_end(run: Run, tmp_path: Path) -> None:
    seconds = unique_seconds()
    code = f"""
sh -c 'trap "printf bye; kill %1; exit 0" TERM; sleep {seconds} & wait' &
wait
"""
    outcome, log = run(
        "shell",
        code,
        should_stop=lambda: ErrorCode.TERMINATED if with_argument(seconds) else None,
    )
    assert outcome.error_code == ErrorCode.TERMINATED
    assert "bye" in log


def test_a_time_limit_ends_a_task(run: Run) -> None:
    outcome, log = run("shell", "echo begun; sleep 1000", timeout=0.2)
    assert outcome.error_code == ErrorCode.TIMEOUT
    assert log == "begun\n[tidemill] Stopped after 0.2 s, its time limit.\n"


def test_a_task_that_must_stop_before_its_start_never_starts(run: Run, tmp_path: Path) -> None:
    outcome, _ = run(
        "shell", f"touch {tmp_path}/here", should_stop=lambda: ErrorCode.WORKER_STOPPED
    )
    assert outcome.error_code == ErrorCode.WORKER_STOPPED
    assert not (tmp_path / "here").exists()


def test_an_error_in_should_stop_kills_the_task(run: Run) -> None:
    seconds = unique_seconds()

    def should_stop() -> str | None:
        if with_argument(seconds):
            raise RuntimeError("the database is gone")
        return None

    with pytest.raises(RuntimeError, match="the database is gone"):
        run("shell", f"sleep {seconds}", should_stop=should_stop)
    wait_for(lambda: not with_argument(seconds))


def test_a_log_that_cannot_be_stored_ends_no_task(client: SpawnerClient, tmp_path: Path) -> None:
    def broken(sequence: int, text: str) -> None:
        raise ConnectionError("no database")

    collector = LogCollector(broken)
    outcome = run_launch(_script("echo hello", tmp_path), client=client, collector=collector)
    assert outcome.ok
    assert collector.unsent == [(0, "hello\n")]
    assert isinstance(collector.sink_error, ConnectionError)


def test_a_program_that_is_not_there_is_a_failed_start(
    client: SpawnerClient, tmp_path: Path
) -> None:
    launch = Launch(
        mode=Mode.EXEC, argv=("/nowhere/bin/sh",), environment={}, working_directory=tmp_path
    )
    collector = LogCollector(lambda sequence, text: None)
    outcome = run_launch(launch, client=client, collector=collector)
    assert outcome.error_code == ErrorCode.START_FAILED
    assert "No such file or directory" in outcome.message


@pytest.mark.parametrize(
    ("task_type", "code"),
    [
        ("shell", "ulimit -n; ulimit -d; ulimit -c"),
        (
            "python",
            "from resource import *\n"
            "for n in (RLIMIT_NOFILE, RLIMIT_DATA, RLIMIT_CORE):\n"
            "    print(getrlimit(n)[0] // (1024 if n == RLIMIT_DATA else 1))",
        ),
    ],
)
def test_limits_hold_for_every_kind_of_process(run: Run, task_type: str, code: str) -> None:
    limits = Limits(open_files=123, memory_bytes=512 * 1024 * 1024)
    outcome, log = run(task_type, code, limits=limits)
    assert outcome.ok, log
    assert log.split() == ["123", str(512 * 1024), "0"]


def test_many_threads_start_tasks_and_no_descriptor_leaks(run: Run) -> None:
    run("shell", "true")
    run("python", "pass")
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208

    def one(number: int) -> tuple[bool, str]:
        outcome, log = run("python" if number % 5 == 0 else "shell", _print(number))
        return outcome.ok, log

    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(one, range(50)))
    assert results == [(True, f"{number}\n") for number in range(50)]
    # Others than ours may have been closed meanwhile.
    assert set(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208


def _print(number: int) -> str:
    return f"print({number})" if number % 5 == 0 else f"echo {number}"


def test_a_shell_task_starts_no_interpreter(run: Run) -> None:
    """The spawner makes the process itself: none that would become the shell, or is between."""
    look = "tr '\\0' ' ' < /proc/{}/cmdline"
    outcome, log = run("shell", "; ".join(look.format(pid) for pid in ("$PPID", "$$")))
    assert outcome.ok
    assert "instances.runners.spawner.spawner" in log  # its parent is the spawner
    assert log.endswith("/bin/sh -e /dev/fd/3 ")


def _script(code: str, folder: Path) -> Launch:
    return Launch(
        mode=Mode.EXEC,
        argv=("/bin/sh", "/dev/fd/3"),
        payload=code.encode(),
        environment={"PATH": "/usr/bin:/bin"},
        working_directory=folder,
    )
