"""A failed periodic instance names the plan's instance that filled its slot, a click from done."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.test import Client

from instances.models import Instance
from instances.states import State
from tests.admin.browsing import Browser, Page
from tests.factories import make_submitted_task, make_superuser
from tests.support.engine import Engine, make_batch, new_instance, state_of

pytestmark = pytest.mark.feature("I6", "I11")

SAID = "A plan has done this work since"


@pytest.fixture
def root(db: None) -> Browser:
    client = Client()
    client.force_login(make_superuser())
    return Browser(client)


def test_its_page_names_the_instance_and_leads_to_mark_success(
    engine: Engine, root: Browser
) -> None:
    task = make_submitted_task("transform")
    (failed,) = engine.make(new_instance(task, retry_limit=0))
    engine.run(failed, "EXIT_NONZERO")
    page = "instances_instance_change"
    assert SAID not in root.get(page, failed.pk).text

    batch = make_batch(task, "repair of May")
    other, same = engine.make(
        new_instance(task, day=1, batch=batch), new_instance(task, batch=batch), batch=batch
    )
    engine.run(other)
    assert SAID not in root.get(page, failed.pk).text
    engine.run(same)
    shown = root.get(page, failed.pk)
    assert SAID in shown.text and f"#{same.pk} of repair of May succeeded" in shown.text
    assert SAID not in root.get(page, same.pk).text

    link = re.search(r'href="([^"]*operate/mark-success/[^"]*reason=[^"]*)"', shown.html)
    assert link, "there is no link to mark success"
    confirm = Page(root.client.get(unescape(link.group(1))))
    assert f'value="Done by instance {same.pk} of repair of May"' in confirm.html
    data = {"ids": failed.pk, "confirmed": "1", "reason": "Done by the plan"}
    with engine.committing():
        root.post("instances_instance_operate", "mark-success", data=data)
    assert state_of(failed) == State.SUCCESS
    assert Instance.objects.get(pk=failed.pk).settled_because == "Done by the plan"
    assert SAID not in root.get(page, failed.pk).text
