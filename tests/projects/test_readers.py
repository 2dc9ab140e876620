"""Whatever language somebody reads in: what machines go by is English, and what is kept is text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import translation
from django.utils.translation import trans_real

from projects.admin.operations import object_url, spell_verb
from projects.ground.refusals import Invalid
from projects.ground.words import gettext_lazy, one_of, thing
from projects.models import DataSource, OperationObject
from tests.factories import make_task, make_user
from workflows.verbs.task_status import start

pytestmark = pytest.mark.feature("I10", "P3")

WORDS = {
    "data source": "數",
    "backfill plans": "補",
    "Submit": "交",
    "There is no such task in your projects.": "無",
    "{verb} · {objects}": "{objects}:{verb}",
    ", ": "、",
    "{most} or {last}": "{most}或{last}",
}


@pytest.fixture
def other_language(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    catalog: Any = trans_real.translation("zh-hans")._catalog  # type: ignore[no-untyped-call]
    for english, said in WORDS.items():
        monkeypatch.setitem(catalog._catalogs[0], english, said)
    with translation.override("zh-hans"):
        yield


def test_an_object_is_found_by_the_name_in_the_record(other_language: None) -> None:
    assert str(DataSource._meta.verbose_name) == "數"
    assert object_url("data_source", 7).endswith("/datasource/7/change/")


def test_sentences_are_the_readers_whole(other_language: None) -> None:
    assert spell_verb("backfill.submit") == "補:交"
    assert thing("data_source") == "數"
    assert one_of(["a", "b", "c"]) == "a、b或c"


def test_what_was_declared_is_text_once_it_is_said(other_language: None) -> None:
    said = gettext_lazy("Submit")
    refusal = Invalid.from_pairs([("name", said)])
    assert (refusal.detail, type(refusal.fields["name"][0])) == ("name: 交", str)


@pytest.mark.django_db
def test_an_outcome_is_kept_as_it_was_said_to_who_asked(other_language: None) -> None:
    stranger = make_user()
    task = make_task()
    result = start(actor=stranger, ids=[task.pk])
    kept = OperationObject.objects.get(operation=result.operation_id)
    assert (kept.code, kept.detail) == ("not_found", "無")
    assert type(result.outcomes[0].detail) is str
