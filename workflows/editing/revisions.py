"""Revisions: which state of a definition somebody saw, so that nobody overwrites another unseen.

A revision is a digest of all that can be edited. Who saves sends the one they began with; when it
is not the present one any more, the refusal says what differs, field by field.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.contrib.auth import get_user_model
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from projects.access import Actor
from projects.ground.refusals import Outdated
from workflows.definitions.closed_references import cover_for
from workflows.definitions.definition import FIELDS, DefinitionError, TaskDefinition
from workflows.definitions.validation import time_zone_of
from workflows.definitions.version_diff import FieldDifference, diff
from workflows.models import Folder, Task, Workflow

LENGTH = 16
_SALT = "tidemill.revision"


def revision_of(edited: Task | Workflow | Folder) -> str:
    """Return the present revision."""
    return digest(_editable(edited))


def digest(values: Mapping[str, Any]) -> str:
    """Return the revision of what can be edited."""
    text = json.dumps(values, sort_keys=True, default=str)
    # With the key of the installation: a digest that anybody can make would tell a name in a closed
    # box to who tries names.
    return salted_hmac(_SALT, text, algorithm="sha256").hexdigest()[:LENGTH]


def check_revision(
    edited: Task | Workflow | Folder,
    revision: str | None,
    sent: Mapping[str, Any],
    *,
    actor: Actor,
) -> None:
    """Raise Outdated unless the locked row has the revision still; None does not ask.

    sent: what is to be saved, by the names of `_editable`.
    """
    if revision is None or revision == (present := revision_of(edited)):
        return
    saved = _editable(edited)
    differences = [
        FieldDifference(name, _readable(name, saved[name]), _readable(name, value))
        for name, value in sent.items()
        if name != "draft" and value != saved[name]
    ]
    if isinstance(edited, Task) and "draft" in sent:
        present_draft = cover_for(actor, [edited.pk]).covered(edited.pk, edited.draft)
        differences += diff(present_draft, _normal(edited, sent["draft"]))
    if not differences:
        return  # what was sent is saved already
    raise Outdated(present, fields={one.field: one.lines for one in differences})


def _editable(edited: Task | Workflow | Folder) -> dict[str, Any]:
    found: dict[str, Any] = {"name": edited.name}
    match edited:
        case Folder():
            found["parent"] = edited.parent_id
        case Workflow():
            for name in ("description", "time_zone"):
                found[name] = getattr(edited, name)
            found["folder"] = edited.folder_id
        case Task():
            found["draft"] = edited.draft
    if isinstance(edited, Task | Workflow):
        found["owners"] = sorted(user.pk for user in edited.owners.all())
    return found


def _readable(name: str, value: Any) -> Any:
    """Return a value as people know it: names instead of ids."""
    if name == "owners":
        users = get_user_model().objects.filter(pk__in=value).order_by("username")
        return list(users.values_list("username", flat=True))
    if name in ("folder", "parent"):
        found = Folder.objects.filter(pk=value).values_list("path", flat=True).first()
        return found or _("(root)")
    return value


def _normal(task: Task, draft: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a draft as it would be saved, so that only real differences show."""
    try:
        zone = time_zone_of(task)
        return TaskDefinition.from_mapping(draft, time_zone=zone, with_marks=True).to_mapping()
    except DefinitionError:
        return {name: value for name, value in draft.items() if name in FIELDS}
