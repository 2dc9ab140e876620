"""The first page of an installation in which there is nothing yet: no world stands here."""

from __future__ import annotations

from typing import Any

from tests.factories import make_superuser


def test_a_fresh_installation_is_told_how_to_begin(db: None, client: Any) -> None:
    client.force_login(make_superuser("first"))
    page = client.get("/admin/").content.decode()
    assert "Nothing to operate yet" in page
    assert "make demo" in page
    assert "/admin/projects/project/add/" in page
