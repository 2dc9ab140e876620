"""The web application in a process of its own."""

from __future__ import annotations

import subprocess
import sys

from config.embedded.data_directory import PROJECT_DIRECTORY

_SCRIPT = """
import gc
import duckdb  # an extension module that tells at exit what was never collected
from config.wsgi import application
print(gc.get_freeze_count() > 100_000)
"""


def test_what_is_loaded_for_good_is_left_alone_until_the_process_ends() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _SCRIPT],
        cwd=PROJECT_DIRECTORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "True\n", "")
