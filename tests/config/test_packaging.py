"""What a wheel of the product holds."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
FOLDERS = [pattern.rstrip("*") for pattern in SETUPTOOLS["packages"]["find"]["include"]]


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_file_of_the_product_is_packaged(folder: str) -> None:
    wanted = SETUPTOOLS["package-data"]["*"]
    left_out = [
        str(path.relative_to(ROOT))
        for path in (ROOT / folder).rglob("*")
        if path.is_file()
        and path.suffix not in {".py", ".pyc"}
        and not any(fnmatch(path.name, pattern) for pattern in wanted)
    ]
    assert left_out == []
    assert any((ROOT / folder).iterdir())
