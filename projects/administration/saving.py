"""Saving a row that people filled in: every fault of it becomes a refusal at its field."""

from __future__ import annotations

from collections.abc import Collection

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Model
from django.utils.translation import gettext as _

from projects.ground.refusals import Coded, Invalid


def save_checked(row: Model, *, unique_field: str = "", only: Collection[str] = ()) -> None:
    """Check and save `row`; of an existing one only the fields in `only`.

    Raises Invalid. A constraint over several fields, and one that somebody else broke at the same
    moment, is reported at `unique_field`.
    """
    try:
        row.full_clean()
        with transaction.atomic():
            row.save(update_fields=list(only) if only else None)
    except ValidationError as error:
        pairs = [
            _fault(fault, message, unique_field if field == NON_FIELD_ERRORS else field)
            for field, faults in error.error_dict.items()
            for fault in faults
            for message in fault.messages
        ]
        raise Invalid.from_pairs(pairs) from error
    except IntegrityError as error:
        taken = _taken(unique_field, _("This name is taken."))
        raise Invalid.from_pairs([taken]) from error


def _fault(fault: ValidationError, message: str, field: str) -> tuple[str, str]:
    # A constraint over several fields that has a message of its own has no code.
    return _taken(field, message) if fault.code in ("unique", None) else (field, message)


def _taken(field: str, message: str) -> tuple[str, str]:
    return field, Coded(message, "name_taken") if field == "name" else message
