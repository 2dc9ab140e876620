"""What breaks while rows are copied must be Django's error: it is what everybody catches."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction

from projects.ground.bulk import copy_rows


@pytest.mark.django_db
def test_a_row_that_is_there_already_is_an_integrity_error() -> None:
    Group.objects.create(name="there")
    with pytest.raises(IntegrityError), transaction.atomic():
        copy_rows("auth_group", ["name"], [["there"]])
