"""Saving a row that people filled in: every fault of it becomes a refusal at its field."""

from __future__ import annotations

from collections.abc import Collection

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Model

from projects.refusals import Invalid


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
            (unique_field if field == NON_FIELD_ERRORS else field, message)
            for field, messages in error.message_dict.items()
            for message in messages
        ]
        raise Invalid.from_pairs(pairs) from error
    except IntegrityError as error:
        raise Invalid.from_pairs([(unique_field, "This name is taken.")]) from error
