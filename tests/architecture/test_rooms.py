"""The rooms stay small: what one sees on opening a folder or a file can be taken in at once."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
APPS = ("config", "projects", "workflows", "events", "instances", "backfill")
MOST_FILES, MOST_LINES = 16, 400

# Each exemption says why.
CROWDED: dict[str, str] = {}
LONG = {
    "instances/runners/spawner/spawner.py": "one process, read as one: it may import nothing else",
    "instances/transitions.py": "all writes of states stand side by side, to be compared",
}


def modules() -> list[Path]:
    """The product's Python files, but for migrations, which are generated."""
    found = [path for app in APPS for path in (ROOT / app).rglob("*.py")]
    return [path for path in found if "migrations" not in path.parts]


def test_no_folder_holds_more_files_than_one_takes_in() -> None:
    files = Counter(
        path.parent.relative_to(ROOT).as_posix() for path in modules() if path.name != "__init__.py"
    )
    assert len(files) > 40, "the search for folders found too little"
    crowded = {folder for folder, number in files.items() if number > MOST_FILES}
    assert crowded == set(CROWDED)


def test_no_file_is_longer_than_one_reads() -> None:
    lines = {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8").count("\n")
        for path in modules()
    }
    assert {name for name, number in lines.items() if number > MOST_LINES} == set(LONG)


@pytest.mark.parametrize("app", APPS)
def test_an_app_opens_on_few_rooms(app: str) -> None:
    """18 at most, beside what Django asks for."""
    asked_for = {"__init__.py", "__pycache__", "apps.py", "migrations", "static"}
    assert len({path.name for path in (ROOT / app).iterdir()} - asked_for) <= 18


def test_what_runs_beside_tasks_knows_no_django() -> None:
    """docs/decisions/spawner.md: such a process starts at once, and reaches only `instances`."""
    paths = [*(ROOT / "instances/runners").rglob("*child.py")]
    paths += (ROOT / "instances/runners/spawner").glob("[a-z]*.py")
    paths = [path for path in paths if path.name != "client.py"]  # the worker's end
    names = sorted({".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths})
    assert len(names) > 7, "the search for modules found too little"
    code = f"import sys, {', '.join(names)}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    known = {name.partition(".")[0] for name in done.stdout.split()}
    assert "instances" in known
    assert known.isdisjoint({"django", "rest_framework", *APPS} - {"instances"})
