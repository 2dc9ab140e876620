"""Collect every word for people into the catalogue of each language, and compile the catalogues.

Needs GNU gettext. With --check nothing is written: exit code 1 when a word has no translation, or a
compiled catalogue does not say what its source says.
"""

from __future__ import annotations

import gettext
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
    """Write the catalogues of what is below `root`."""
    languages = [part for language in LANGUAGES for part in ("--locale", language)]
    command = [sys.executable, "-m", "django", "makemessages", *languages]
    command += ["--no-obsolete", "--no-wrap", "--add-location", "file"]
    for name in ("tests", "var", "build", ".venv", "static"):
        command += ["--ignore", name]
    settings = {"PYTHONPATH": str(root), "DJANGO_SETTINGS_MODULE": "config.settings.test"}
    subprocess.run(command, cwd=root, env={"PATH": os.environ["PATH"], **settings}, check=True)
    for language in LANGUAGES:
        folder = root / LOCALE / language / "LC_MESSAGES"
        source = folder / "django.po"
        lines = source.read_text().splitlines()
        source.write_text(
            "\n".join(line for line in lines if not line.startswith('"POT-Creation-Date')) + "\n"
        )
        compiled = folder / "django.mo"
        subprocess.run(["msgfmt", "--check-format", "-o", compiled, source], check=True)


def _words(folder: Path) -> dict[object, str]:
    with (folder / "django.mo").open("rb") as file:
        return gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]


def _faults() -> list[str]:
    faults = []
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch)
        for part in PARTS:
            shutil.copytree(ROOT / part, copy / part)
        collect(copy)
        for language in LANGUAGES:
            folder = LOCALE / language / "LC_MESSAGES"
            for kind in ("--untranslated", "--only-fuzzy"):
                show = ["msgattrib", kind, "--no-wrap", str(copy / folder / "django.po")]
                found = subprocess.run(show, capture_output=True, text=True, check=True).stdout
                faults += [line for line in found.splitlines() if line.startswith("msgid ")][1:]
            if _words(copy / folder) != _words(ROOT / folder):
                faults.append(f"{folder} is not what the code says")
    return faults


def main() -> int:
    """Do it, or check that it was done."""
    if "--check" not in sys.argv[1:]:
        collect(ROOT)
        return 0
    faults = _faults()
    for fault in faults:
        print(f"no translation: {fault}", file=sys.stderr)
    print("Translations are complete." if not faults else "Say them, and run: make messages")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
