"""Shell tasks (T10)."""

from __future__ import annotations

import pytest

from instances.error_codes import ErrorCode
from tests.instances.runners.conftest import Run

pytestmark = pytest.mark.feature("T10")


def test_the_first_command_that_fails_ends_the_script(run: Run) -> None:
    outcome, log = run("shell", "echo one\nno-such-command\necho two")
    assert (outcome.error_code, outcome.exit_code) == (ErrorCode.EXIT_NONZERO, 127)
    assert "two" not in log


def test_a_script_may_go_on_after_errors_when_its_settings_say_so(run: Run) -> None:
    outcome, log = run("shell", "false\necho two", config={"stop_on_error": False})
    assert (outcome.ok, log) == (True, "two\n")


def test_bash_is_there_for_who_asks_for_it(run: Run) -> None:
    outcome, log = run("shell", 'a=(x y); echo "${a[1]}"', config={"shell": "/bin/bash"})
    assert (outcome.ok, log) == (True, "y\n")


def test_a_command_that_reads_its_input_does_not_swallow_the_script(run: Run) -> None:
    outcome, log = run("shell", "cat\necho after")
    assert (outcome.ok, log) == (True, "after\n")


def test_a_script_of_a_megabyte_runs(run: Run) -> None:
    outcome, log = run("shell", "true\n" * 200_000 + "echo end")
    assert (outcome.ok, log) == (True, "end\n")


def test_it_works_in_a_folder_of_its_own(run: Run) -> None:
    outcome, log = run("shell", '[ "$PWD" = "$HOME" ]; mkdir a; touch a/b; ls -A', execution_id=41)
    assert (outcome.ok, log) == (True, "a\n")
