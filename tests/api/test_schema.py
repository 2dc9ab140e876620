"""The OpenAPI document: complete, without a warning, and readable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import translation

from tests.api.routes import ROUTES, operations_of_schema

pytestmark = pytest.mark.feature("P4")


def test_the_schema_is_made_without_a_warning(tmp_path: Path) -> None:
    call_command("spectacular", "--fail-on-warn", "--validate", file=str(tmp_path / "schema.yaml"))


@pytest.mark.item("P4.3")
def test_every_operation_says_what_it_does_takes_and_answers() -> None:
    lacking = []
    for method, path, operation in operations_of_schema():
        answers = operation["responses"]
        # 202: so many that they are done in the background.
        good = [status for status in answers if status < "300" and status != "202"]
        for what, there in {
            "summary": operation.get("summary"),
            "one good answer": len(good) == 1,
            "a body of it": good[:1] == ["204"] or "content" in answers[good[0]],
            "errors": {"400", "429"} <= answers.keys(),
        }.items():
            if not there:
                lacking.append((method, path, what))
    assert lacking == []


def test_every_operation_is_in_the_table_of_routes_that_other_tests_walk() -> None:
    assert {(method, path) for method, path, _ in operations_of_schema()} == {
        (route.method, route.template) for route in ROUTES
    }


@pytest.mark.django_db
def test_the_pages_of_the_documentation_load_nothing_from_elsewhere(client: Client) -> None:
    page = client.get("/api/v1/docs/")
    assert page.status_code == 200
    text = page.content.decode()
    assert "swagger-ui" in text
    assert "http://" not in text and "https://" not in text
    schema: Any = client.get("/api/v1/schema/")
    assert schema.status_code == 200


@pytest.mark.django_db
def test_the_document_is_in_english_whoever_asks(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bracketed(text: str) -> str:
        return text if translation.get_language() == "en" else f"⟦{text}⟧"

    monkeypatch.setattr(translation._trans, "gettext", bracketed)  # type: ignore[attr-defined]
    with translation.override("en"):  # the request leaves its language to this thread
        schema: Any = client.get("/api/v1/schema/", headers={"Accept-Language": "zh-hans"})
    text = schema.content.decode()
    assert schema.headers["Content-Language"] == "zh-hans"
    assert "Waiting for upstream" in text
    assert "⟦" not in text
