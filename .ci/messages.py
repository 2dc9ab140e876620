"""Collect every word for people into the catalogue of each language, and compile the catalogues.

Needs GNU gettext. With --check nothing is written: exit code 1 when a catalogue is not what it
would become, or has a word without a translation.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCALE = Path("projects/locale")
LANGUAGES = ("zh_Hans",)
PARTS = ("config", "projects", "workflows", "events", "instances", "backfill", "templates")


def collect(root: Path) -> None:
    """Write the catalogues below a copy or the checkout itself."""
    django = [sys.executable, "-m", "django"]
    languages = [part for language in LANGUAGES for part in ("--locale", language)]
    make = [
        *django,
        "makemessages",
        *languages,
        "--no-obsolete",
        "--no-wrap",
        "--add-location",
        "file",
    ]
    ignored = [
        part for name in ("tests", "var", "build", ".venv", "static") for part in ("-i", name)
    ]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(root),
                   "DJANGO_SETTINGS_MODULE": "config.settings.test"}  # fmt: skip
    subprocess.run([*make, *ignored], cwd=root, env=environment, check=True)
    for language in LANGUAGES:
        folder = root / LOCALE / language / "LC_MESSAGES"
        told = (folder / "django.po").read_text()
        kept = [line for line in told.splitlines() if not line.startswith('"POT-Creation-Date')]
        (folder / "django.po").write_text("\n".join(kept) + "\n")
        compiling = ["msgfmt", "--check-format", "-o", folder / "django.mo", folder / "django.po"]
        subprocess.run(compiling, check=True)


def main() -> int:
    """Do it, or check that it was done."""
    if "--check" not in sys.argv[1:]:
        collect(ROOT)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "copy"
        copy.mkdir()
        for part in PARTS:
            shutil.copytree(ROOT / part, copy / part)
        collect(copy)
        missing = 0
        for language in LANGUAGES:
            told = LOCALE / language / "LC_MESSAGES" / "django.po"
            if (copy / told).read_text() != (ROOT / told).read_text():
                print(f"{told} is not what the code says: make messages", file=sys.stderr)
                missing += 1
            arguments = ["--untranslated", "--no-wrap", str(ROOT / told)]
            bare = subprocess.run(
                ["msgattrib", *arguments], capture_output=True, text=True, check=True
            )
            if bare.stdout.strip():
                print(bare.stdout, file=sys.stderr)
                missing += 1
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
