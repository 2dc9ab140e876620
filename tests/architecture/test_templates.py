"""Pages keep to the content policy: no style attribute, no script and no handler in the markup."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.architecture.test_rooms import ROOT, modules

STYLE = re.compile(r"<[a-z][^<>]*\sstyle\s*=|\sstyle=\"", re.I)
HANDLER = re.compile(r"<[a-z][^<>]*\son[a-z]+\s*=", re.I)
HTMX_HANDLER = re.compile(r"\shx-on[:-]|hx-vals=.?js:|hx-trigger=\"[^\"]*\[", re.I)
SCRIPT = re.compile(r"<script(?![^>]*\ssrc=)(?![^>]*type=\"application/json\")|javascript:", re.I)
STYLE_ELEMENT = re.compile(r"<style\b", re.I)
FAULTS = (STYLE, HANDLER, HTMX_HANDLER, SCRIPT, STYLE_ELEMENT)
# What a template fills in is no part of an expression that Alpine evaluates.
ALPINE = re.compile(r"\s(?:x-[a-z:.-]+|:[a-z-]+)=\"[^\"]*\{[{%]", re.I)


def faults_of(text: str) -> list[str]:
    return [found.group(0).strip() for one in FAULTS for found in one.finditer(text)]


def templates() -> list[Path]:
    return sorted((ROOT / "templates").rglob("*.html"))


def test_no_template_has_a_style_attribute_or_a_script() -> None:
    listed = templates()
    assert len(listed) > 25, "the search for templates found too little"
    found = {path.relative_to(ROOT).as_posix(): faults_of(path.read_text()) for path in listed}
    assert {name: faults for name, faults in found.items() if faults} == {}


def test_no_template_fills_in_a_part_of_an_expression() -> None:
    found = {
        path.relative_to(ROOT).as_posix(): ALPINE.findall(path.read_text()) for path in templates()
    }
    assert {name: parts for name, parts in found.items() if parts} == {}


def test_no_module_writes_a_style_attribute_or_a_script() -> None:
    found = {
        path.relative_to(ROOT).as_posix(): faults
        for path in modules()
        if (faults := [fault for fault in faults_of(path.read_text()) if "<" in fault])
    }
    assert found == {}


@pytest.mark.parametrize(
    "text",
    [
        '<td style="width: 1px">',
        "<td class='a' style='width: 1px'>",
        '<a href="#" onclick="go()">',
        "<script>go()</script>",
        '<a href="javascript:go()">',
        '<div hx-get="/" hx-trigger="every 1s [go()]">',
        "<style>p {}</style>",
    ],
)
def test_each_fault_is_seen(text: str) -> None:
    assert faults_of(text)


@pytest.mark.parametrize(
    "text",
    [
        '<script src="/a.js"></script>',
        '<script type="application/json">{}</script>',
        '<p class="style">online = 1</p>',
    ],
)
def test_nothing_else_is(text: str) -> None:
    assert faults_of(text) == []
