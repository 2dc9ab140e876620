"""What is added touches the places that docs/architecture.md names, and no other.

Each toy is added to a copy of the product by one change to it, and lives there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.distributed.workers import database_url

ROOT = Path(__file__).resolve().parents[2]
OTHERS = ("config", "backfill", "events", "workflows", "projects", "tests", "templates")
HOLDS = "HOLDS: tuple[Hold, ...] = (\n"
TOY_HOLD = """    Hold(
        "toy",
        Stage.{stage},
        "i.data_date = '2001-01-01'",
        lambda asked: [Blocker("A toy holds it.")],
        state={state},
    ),
"""


@pytest.mark.django_db
@pytest.mark.parametrize(("stage", "state"), [("STILL", "None"), ("READY", "State.NOT_RUN")])
def test_a_reason_to_wait_is_one_entry_of_the_list(stage: str, state: str, tmp_path: Path) -> None:
    """About four seconds: a process of its own loads the product."""
    # Others may be writing compiled files right now.
    compiled = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "instances", tmp_path / "instances", ignore=compiled)
    for name in OTHERS:
        (tmp_path / name).symlink_to(ROOT / name)
    listed = tmp_path / "instances" / "holds" / "listed.py"
    before, begin, after = listed.read_text(encoding="utf-8").partition(HOLDS)
    listed.write_text(
        before + begin + TOY_HOLD.format(stage=stage, state=state) + after, encoding="utf-8"
    )
    script = shutil.copy(Path(__file__).parent / "toy_hold.py", tmp_path)
    run = subprocess.run(
        [sys.executable, script, stage],
        cwd=tmp_path,
        env={**os.environ, "DATABASE_URL": database_url()},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
