"""The names of tasks, workflows and folders. Pure."""

from __future__ import annotations

import re

from django.utils.translation import gettext as _

from projects.ground.fields.faults import FieldError
from projects.ground.fields.json import text_fault
from projects.ground.words import thousands

MAX_NAME_LENGTH = 100
MAX_DEPTH = 20  # of folders
MAX_PATH_LENGTH = 1000

_PATTERN = re.compile(r"[^\s/](?:[^/\x00-\x1f]*[^\s/])?")


def check_name(name: object, field: str = "name") -> list[FieldError]:
    """Return what is wrong with a name: it stands in references such as project/workflow/task."""
    if not isinstance(name, str) or not name:
        return [(field, _("This field is required."))]
    if len(name) > MAX_NAME_LENGTH:
        message = _("At most {most} characters; this has {count}.")
        return [(field, message.format(most=MAX_NAME_LENGTH, count=len(name)))]
    if fault := text_fault(name):
        return [(field, fault)]
    if not _PATTERN.fullmatch(name):
        message = _("A name has no slash and no control character, and no space at its ends.")
        return [(field, message)]
    return []


def check_path(path: str, field: str = "folder") -> list[FieldError]:
    """Return what is wrong with the path of a folder: names with slashes between them."""
    parts = path.split("/")
    if len(parts) > MAX_DEPTH:
        return [(field, _("At most {most} levels of folders.").format(most=MAX_DEPTH))]
    if len(path) > MAX_PATH_LENGTH:
        message = _("A path has at most {most} characters.")
        return [(field, message.format(most=thousands(MAX_PATH_LENGTH)))]
    for part in parts:
        if not part:
            return [(field, _("A path is names of folders with one slash between them."))]
        if faults := check_name(part, field):
            return faults
    return []
