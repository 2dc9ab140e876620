"""Pages in a language that puts brackets around all that is in a catalogue: the rest is data."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.utils import translation

from tests.admin.browsing import Browser, Page
from tests.api.world import World

# What is no word: names in the world, machines' names, times, and who made what we show.
DATA = re.compile(
    r"""\b(?:here|elsewhere|up|down|draft|default|root|administrator|developer|operator|outsider|viewer
    |(?:workflow|group|folder|source)_\d+(?:/\w+)?|patch_\w+|tidemill\.group\.\w+|Tidemill|API|UTC
    |shell|bash|bin|sh|sqlite|GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|esc|English|en|zh-hans|true
    |echo\ done|exit\ code|\d{4}-\d\d-\d\d|yyyy\w*|yyyyMMddHHmmss_nnn|[0-9a-f]{16}
    |biz\w+|cyctime|data_\w+|gmtdate|instance_id|interval_\w+|jobid|scheduled_at|taskname|project
    |workflow|tasks\.look
    |Auth\ tokens|True|False)\b  # of django-knox, and Django's pictures of yes and no
    """,
    re.VERBOSE,
)
_TAG = re.compile(r'<(?:[^<>"]|"[^"]*")*>')
_SAID = re.compile(r'\b(?:title|aria-label|placeholder|alt|data-say-[a-z-]+)="([^"]*)"')
_HIDDEN = re.compile(
    r'<span class="[^"]*material-symbols[^"]*"[^>]*>[^<]*</span>|<(style|script)\b.*?</\1>',
    re.DOTALL,
)


@pytest.fixture
def brackets(monkeypatch: pytest.MonkeyPatch) -> None:
    def put(text: str) -> str:
        # No language: what is asked for is the text in the code, and may be kept.
        is_shown = translation.get_language() is not None
        return f"⟦{text}⟧" if is_shown and text.strip() else text

    told: Any = translation._trans  # type: ignore[attr-defined]
    monkeypatch.setattr(told, "gettext", put)
    monkeypatch.setattr(told, "pgettext", lambda context, text: put(text))
    monkeypatch.setattr(told, "ngettext", lambda one, many, n: put(one if n == 1 else many))
    monkeypatch.setattr(
        told, "npgettext", lambda context, one, many, n: put(one if n == 1 else many)
    )


def bare_words(html: str) -> set[str]:
    """The words of a page that stand in no brackets."""
    html = _HIDDEN.sub("", html)
    found = []
    for text in ("\n".join(_SAID.findall(html)), _TAG.sub("\x01", html)):
        for _ in range(6):  # brackets stand in brackets, and around tags
            text = re.sub("⟦[^⟦⟧]*⟧", "", text)
        found += text.replace("\x01", "\n").split("\n")
    left = (DATA.sub("", re.sub("&[a-z]+;", "", text)).strip() for text in found)
    return {text for text in left if re.search("[A-Za-z]{2}", text)}


LISTS = (
    "index",
    "instances_instance_changelist",
    "backfill_plan_changelist",
    "backfill_plan_add",
    "workflows_task_changelist",
    "workflows_workflow_changelist",
    "workflows_workflow_import",
    "workflows_workflow_add",
    "workflows_folder_changelist",
    "workflows_folder_add",
    "projects_operation_changelist",
    "projects_project_changelist",
    "projects_project_add",
    "projects_resourcegroup_changelist",
    "projects_resourcegroup_add",
    "projects_datasource_changelist",
    "projects_datasource_add",
    "knox_authtoken_changelist",
    "auth_user_changelist",
    "auth_user_add",
    "password_change",
)


@pytest.mark.feature("U10")
@pytest.mark.item("U10.3")
def test_pages_say_nothing_that_no_catalogue_has(
    world: World, root: Browser, brackets: None
) -> None:
    place = world.place
    pages = {name: root.get(name) for name in LISTS}
    for name, pk in (
        ("workflows_task_change", place.up.pk),
        ("workflows_task_change", place.draft.pk),
        ("workflows_task_edit", place.up.pk),
        ("workflows_task_preview", place.up.pk),
        ("workflows_workflow_change", place.workflow.pk),
        ("workflows_workflow_edit", place.workflow.pk),
        ("workflows_folder_change", place.folder.pk),
        ("instances_instance_change", place.instance.pk),
        ("instances_instance_change", place.first.pk),
        ("instances_task_history", place.up.pk),
        ("instances_task_curve", place.up.pk),
        ("backfill_plan_change", place.plan.pk),
        ("backfill_plan_change", place.expanded.pk),
        ("backfill_plan_edit", place.plan.pk),
        ("backfill_plan_delete", place.plan.pk),
        ("projects_project_change", place.project.pk),
        ("projects_project_delete", place.project.pk),
        ("projects_resourcegroup_change", place.group.pk),
        ("projects_datasource_change", place.source.pk),
        ("projects_operation_change", place.operation_id),
        ("auth_user_change", world.superuser.pk),
    ):
        pages[f"{name} {pk}"] = root.get(name, pk)
    for step in (2, 3):
        pages[f"step {step}"] = root.get("backfill_plan_edit", place.plan.pk, step=step)
    chosen = f"{place.instance.pk},{place.first.pk}"
    for verb in ("rerun", "terminate", "mark-success", "freeze", "remove-dependencies"):
        pages[verb] = root.get("instances_instance_operate", verb, ids=chosen)
    frozen = {"ids": str(place.instance.pk), "confirmed": "1"}
    pages["done"] = root.post("instances_instance_operate", "freeze", data=frozen)
    pages["a wrong filter"] = root.get("instances_instance_changelist", state="NONSENSE")
    pages["nowhere"] = Page(root.client.get("/admin/nowhere/"))
    pages["login"] = Page(Client().get("/admin/login/"))
    found = {name: bare_words(page.html) for name, page in pages.items()}
    assert {name: words for name, words in found.items() if words} == {}


def test_a_bare_word_is_found() -> None:
    html = '<p title="⟦Yes⟧ but">⟦All of <b>it</b>⟧ Sorry <i class="x">here</i></p>'
    assert bare_words(html) == {"but", "Sorry"}
