"""Python tasks (T10)."""

from __future__ import annotations

import pytest

from instances.error_codes import ErrorCode
from instances.runners.base import Limits
from tests.instances.runners.conftest import Run

pytestmark = pytest.mark.feature("T10")


def test_the_code_runs_as_a_script(run: Run) -> None:
    code = """
import os, sys
if __name__ == "__main__":
    print(sys.argv, os.getcwd() == os.environ["HOME"])
"""
    outcome, log = run("python", code, config={"arguments": ["-v", "x"]}, task_name="report")
    assert (outcome.ok, log) == (True, "['report', '-v', 'x'] True\n")


def test_a_traceback_shows_the_codes_lines_and_none_of_ours(run: Run) -> None:
    code = "def f(x):\n    return 1 / x\n\nf(0)\n"
    outcome, log = run("python", code, task_name="divide")
    assert outcome.error_code == ErrorCode.PYTHON_ERROR
    assert outcome.message == "ZeroDivisionError: division by zero (line 4)"
    assert outcome.report["line"] == 4
    assert 'File "<divide>", line 4, in <module>\n    f(0)' in log
    assert 'File "<divide>", line 2, in f\n    return 1 / x' in log
    assert "instances" not in log
    assert log.count("ZeroDivisionError") == 1


def test_a_syntax_error_names_its_line(run: Run) -> None:
    outcome, log = run("python", "x = 1\nif x\n")
    assert outcome.error_code == ErrorCode.PYTHON_ERROR
    assert outcome.message == "SyntaxError: expected ':' (line 2)"
    assert "    if x\n" in log


@pytest.mark.parametrize(
    ("code", "exit_code", "log"),
    [
        ("sys.exit()", 0, ""),
        ("sys.exit(0)", 0, ""),
        ("sys.exit(3)", 3, "[tidemill] Ended with exit code 3.\n"),
        ("sys.exit('no data')", 1, "no data\n[tidemill] Ended with exit code 1.\n"),
        ("os._exit(4)", 4, "[tidemill] Ended with exit code 4.\n"),
    ],
)
def test_exit_codes_are_honoured(run: Run, code: str, exit_code: int, log: str) -> None:
    outcome, text = run("python", f"import os, sys\n{code}")
    assert (outcome.exit_code, text) == (exit_code, log)
    assert outcome.ok == (exit_code == 0)


def test_threads_and_exit_handlers_end_before_the_task_does(run: Run) -> None:
    code = """
import atexit, threading, time
atexit.register(print, "handler")
event = threading.Event()
threading.Thread(target=lambda: (event.wait(), print("thread"))).start()
print("main")
event.set()
"""
    outcome, log = run("python", code)
    assert (outcome.ok, log) == (True, "main\nthread\nhandler\n")


def test_tasks_share_no_state_and_no_random_numbers(run: Run) -> None:
    code = "import json, random\nprint(hasattr(json, 'mark'), random.random())\njson.mark = 1"
    logs = [run("python", code)[1] for _ in range(3)]
    assert all(log.startswith("False") for log in logs)
    assert len(set(logs)) == 3


def test_the_products_modules_are_not_on_the_path(run: Run) -> None:
    outcome, log = run("python", "import sys\nprint([p for p in sys.path if p.endswith('main')])")
    assert (outcome.ok, log) == (True, "[]\n")


def test_it_has_the_time_zone_of_its_task(run: Run) -> None:
    code = "import datetime\nprint(datetime.datetime.fromtimestamp(0).hour)"
    assert run("python", code, time_zone="Asia/Tokyo")[1] == "9\n"


def test_too_much_memory_is_its_own_error(run: Run) -> None:
    limits = Limits(memory_bytes=300 * 1024 * 1024)
    outcome, _ = run("python", "x = bytearray(10**9)", limits=limits)
    assert outcome.error_code == ErrorCode.OUT_OF_MEMORY


def test_subprocesses_and_process_pools_work(run: Run) -> None:
    code = """
import subprocess, sys
from concurrent.futures import ProcessPoolExecutor
def square(x):
    return x * x
with ProcessPoolExecutor(2) as pool:
    print(list(pool.map(square, range(4))))
print(subprocess.run([sys.executable, "-c", "print(5)"], capture_output=True).stdout)
"""
    outcome, log = run("python", code)
    assert (outcome.ok, log) == (True, "[0, 1, 4, 9]\nb'5\\n'\n")


def test_output_that_is_no_utf_8_does_not_end_it(run: Run) -> None:
    outcome, log = run("python", "print('a\\udcff')")
    assert (outcome.ok, log) == (True, "a\\udcff\n")
