"""What the filters of lists offer is what they understand."""

from __future__ import annotations

import pytest

from tests.admin.browsing import Browser
from tests.admin.test_pages import LISTS
from tests.api.world import World

pytestmark = pytest.mark.django_db


@pytest.mark.feature("I3", "T6", "W8", "B21")
def test_every_choice_that_a_filter_offers_is_accepted(world: World, operator: Browser) -> None:
    for name in (*LISTS, "projects_resourcegroup_changelist"):
        for spec in operator.get(name).context["cl"].filter_specs:
            ((field_name, field),) = next(spec.choices(None))["form"].fields.items()
            for value, _ in getattr(field, "choices", ()):
                page = operator.get(name, **{field_name: value})
                assert page.messages == [], (name, field_name, value)


@pytest.mark.feature("I3", "T6")
def test_a_choice_by_group_finds_what_is_in_the_group(world: World, operator: Browser) -> None:
    for name in ("instances_instance_changelist", "workflows_task_changelist"):
        specs = {spec.name: spec for spec in operator.get(name).context["cl"].filter_specs}
        field = next(specs["resource_group"].choices(None))["form"].fields["resource_group"]
        values = [value for value, label in field.choices if label == "default"]
        assert operator.get(name, resource_group=values[0]).ids, name
