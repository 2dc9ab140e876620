"""What the filters of lists offer is what they understand."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
from django.contrib.messages import get_messages
from django.template.response import TemplateResponse
from django.urls import reverse

from tests.admin.browsing import Browser
from tests.admin.test_pages import LISTS
from tests.api.world import World

pytestmark = pytest.mark.django_db


def answer_to(browser: Browser, name: str, **query: object) -> Any:
    """Ask for a list, which is not drawn: that takes most of the time, and shows nothing here."""
    with patch.object(TemplateResponse, "rendered_content", ""):
        return browser.client.get(reverse(f"admin:{name}"), query)


def test_what_a_filter_does_not_offer_is_not_accepted(operator: Browser) -> None:
    answer = answer_to(operator, "instances_instance_changelist", state="NO_SUCH_STATE")
    assert answer.status_code != 200 or list(get_messages(answer.wsgi_request))


@pytest.mark.feature("I3", "T6", "W8", "B21")
def test_every_choice_that_a_filter_offers_is_accepted(world: World, operator: Browser) -> None:
    for name in (*LISTS, "projects_resourcegroup_changelist"):
        for spec in operator.get(name).context["cl"].filter_specs:
            ((field_name, field),) = next(spec.choices(None))["form"].fields.items()
            for value, _ in getattr(field, "choices", ()):
                answer = answer_to(operator, name, **{field_name: value})
                told = [str(message) for message in get_messages(answer.wsgi_request)]
                assert (answer.status_code, told) == (200, []), (name, field_name, value)


@pytest.mark.feature("I3", "T6")
def test_a_choice_by_group_finds_what_is_in_the_group(world: World, operator: Browser) -> None:
    for name in ("instances_instance_changelist", "workflows_task_changelist"):
        specs = {spec.name: spec for spec in operator.get(name).context["cl"].filter_specs}
        field = next(specs["resource_group"].choices(None))["form"].fields["resource_group"]
        values = [value for value, label in field.choices if label == "default"]
        assert operator.get(name, resource_group=values[0]).ids, name
