"""The names of tasks, workflows and folders. Pure."""

from __future__ import annotations

import re

from projects.ground.fields.faults import FieldError
from projects.ground.fields.json import text_fault

MAX_NAME_LENGTH = 100
MAX_DEPTH = 20  # of folders
MAX_PATH_LENGTH = 1000

_PATTERN = re.compile(r"[^\s/](?:[^/\x00-\x1f]*[^\s/])?")


def check_name(name: object, field: str = "name") -> list[FieldError]:
    """Return what is wrong with a name: it stands in references such as project/workflow/task."""
    if not isinstance(name, str) or not name:
        return [(field, "This field is required.")]
    if len(name) > MAX_NAME_LENGTH:
        return [(field, f"At most {MAX_NAME_LENGTH} characters; this has {len(name)}.")]
    if fault := text_fault(name):
        return [(field, fault)]
    if not _PATTERN.fullmatch(name):
        return [(field, "A name has no slash and no control character, and no space at its ends.")]
    return []


def check_path(path: str, field: str = "folder") -> list[FieldError]:
    """Return what is wrong with the path of a folder: names with slashes between them."""
    parts = path.split("/")
    if len(parts) > MAX_DEPTH:
        return [(field, f"At most {MAX_DEPTH} levels of folders.")]
    if len(path) > MAX_PATH_LENGTH:
        return [(field, f"A path has at most {MAX_PATH_LENGTH:,} characters.")]
    for part in parts:
        if not part:
            return [(field, "A path is names of folders with one slash between them.")]
        if faults := check_name(part, field):
            return faults
    return []
