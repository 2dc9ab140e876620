"""Every example of README and docs is run, every address and link in them is followed."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import resolve

from config.api_router import NowhereView
from instances.filters import InstanceFilter
from instances.models import Instance
from tests.api.world import World

pytestmark = [pytest.mark.django_db, pytest.mark.feature("P4")]

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# What a reader puts in their place.
PLACES = {
    "<noun>/batch/<verb>": "instances/batch/rerun",
    "/batch/<verb>": "/instances/batch/rerun",
    "<noun>": "instances",
    "/tokens/<id>": "/tokens/0123456789abcdef",
    "<verb>": "rerun",
    "<id>": "1",
    "<n>": "1",
    "<part>": "database",
}
ADDRESS = re.compile(r"^(?:(?:GET|POST|PUT|PATCH|DELETE) )?(/(?:[\w<>-]+/)*[\w<>-]*(?:\?\S*)?)$")
# Folders of a machine, which look like addresses.
BEGINNINGS = ("/", "/api/v1/")
FOLDERS = ("/bin", "/proc", "/tmp", "/root", "/var", "/dev", "/etc", "/usr", "/home", "/opt")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yield every curl command of the pages, as its words."""
    for page in PAGES:
        for block in re.findall(r"^```\w*\n(.*?)^```", page.read_text(), re.M | re.S):
            for line in block.replace("\\\n", " ").splitlines():
                if line.lstrip("$ ").startswith("curl "):
                    yield name_of(page), shlex.split(line.lstrip("$ "))


def addresses() -> Iterator[tuple[str, str]]:
    """Yield every address in the pages' texts; those of the API's page are below /api/v1/."""
    for page in PAGES:
        for code in re.findall(r"`([^`\n]+)`", page.read_text()):
            found = ADDRESS.match(code)
            if not found or found[1] in BEGINNINGS or found[1].startswith(FOLDERS):
                continue
            yield name_of(page), found[1]


COMMANDS, ADDRESSES = list(commands()), sorted(set(addresses()))


def test_there_are_examples() -> None:
    assert {name for name, _ in COMMANDS} >= {"README.md", "docs/api.md"}
    assert {name for name, _ in ADDRESSES} >= {"README.md", "docs/api.md", "docs/operations.md"}


@pytest.mark.parametrize(("page", "words"), COMMANDS, ids=lambda one: str(one)[:60])
def test_an_example_is_answered(world: World, page: str, words: list[str]) -> None:
    user = get_user_model().objects.create_superuser("admin", password="of-the-example")
    Instance.objects.filter(pk=world.place.first.pk).update(
        state="FAILED", ready_at="2026-01-01T00:00Z", ended_at="2026-01-01T00:01Z"
    )
    type(world.place.up).objects.filter(pk=world.place.up.pk).update(name="daily_temps")
    method, address, body, headers = "GET", "", "", {}
    rest = iter(words[1:])
    for word in rest:
        if word in ("-X", "--request"):
            method = next(rest)
        elif word in ("-H", "--header"):
            name, _, value = next(rest).partition(": ")
            headers[name] = value
        elif word in ("-d", "--data"):
            body = next(rest).replace("…", "of-the-example")
        else:
            address = word
    client = Client()
    if "Authorization" in headers:
        assert headers.pop("Authorization") in ("Token $TOKEN", "Token …")
        client.force_login(user)
    parts = urlsplit(address if "://" in address else f"http://{address}")
    response = client.generic(
        method, f"{parts.path}?{parts.query}", body, headers.pop("Content-Type", ""), **headers
    )
    assert response.status_code in (200, 201), (page, response.content)


@pytest.mark.parametrize(("page", "address"), ADDRESSES)
def test_an_address_leads_somewhere(page: str, address: str) -> None:
    path = urlsplit(address).path
    for place, value in PLACES.items():
        path = path.replace(place, value)
    if page == "docs/api.md" and not path.startswith("/api/"):
        path = f"/api/v1{path}"
    view = resolve(path).func
    assert getattr(view, "cls", None) is not NowhereView
    assert getattr(view, "view_class", None) is not NowhereView


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_filters_in_examples_exist(page: Path) -> None:
    for written in re.findall(r'"filter": (\{[^{}]*\})', page.read_text()):
        assert json.loads(written).keys() <= InstanceFilter.base_filters.keys()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text()):
        path, _, heading = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.+)$", file.read_text(), re.M)
            anchors = {re.sub(r"[^\w-]", "", one.lower().replace(" ", "-")) for one in titles}
            assert heading in anchors, target
