"""Reading pages as people do: their text, their links, the faults beside the fields of a form."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape
from html.parser import HTMLParser
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

_HIDDEN = frozenset({"script", "style", "head"})


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.depth = 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.depth += tag in _HIDDEN

    def handle_endtag(self, tag: str) -> None:
        self.depth -= tag in _HIDDEN

    def handle_data(self, data: str) -> None:
        if not self.depth:
            self.parts.append(data)


@dataclass
class Page:
    """An answer."""

    response: HttpResponse

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def html(self) -> str:
        return self.response.content.decode()

    @property
    def text(self) -> str:
        """What there is to read, with single spaces."""
        reader = _Text()
        reader.feed(self.html)
        return " ".join(" ".join(reader.parts).split())

    @property
    def messages(self) -> list[str]:
        """What the page tells about what was just done."""
        found = getattr(self.response, "context", None)
        told = found.get("messages", ()) if found is not None else ()
        return [unescape(re.sub(r"<[^>]+>", "", str(message))) for message in told]

    @property
    def context(self) -> Any:
        return self.response.context  # type: ignore[attr-defined]

    @property
    def form_faults(self) -> dict[str, list[str]]:
        """The messages at the fields of an admin form."""
        return dict(self.context["adminform"].form.errors)

    @property
    def ids(self) -> list[int]:
        """The rows of a list, in order."""
        return [row.pk for row in self.context["cl"].result_list]

    @property
    def columns(self) -> list[str]:
        """The headings of a list."""
        found = re.search(r"<thead>(.*?)</thead>", self.html, re.S)
        assert found, "there is no list"
        cells = re.findall(r"<th .*?</th>", found.group(1), re.S)
        texts = [" ".join(re.sub(r"<[^>]+>", " ", cell).split()) for cell in cells]
        return [re.sub(r" arrow_circle.*", "", text) for text in texts]


class Browser:
    """A logged-in user's browser: pages by the names of their addresses."""

    def __init__(self, client: Client) -> None:
        self.client = client

    @classmethod
    def of(cls, user: User) -> Browser:
        """Return a browser in which the user is logged in."""
        client = Client()
        client.force_login(user)
        return cls(client)

    def get(self, name: str, *args: Any, **query: Any) -> Page:
        """Open a page of the admin: get("instances_instance_change", 5)."""
        return Page(self.client.get(reverse(f"admin:{name}", args=args), query, follow=True))

    def post(self, name: str, *args: Any, data: Any = None, follow: bool = True) -> Page:
        """Send a form to a page of the admin."""
        address = reverse(f"admin:{name}", args=args)
        return Page(self.client.post(address, data or {}, follow=follow))

    def act(self, name: str, action: str, *ids: int, **query: Any) -> Page:
        """Choose rows of a list and run an action."""
        data = {"action": action, "_selected_action": ids, "index": 0, "select_across": 0}
        address = reverse(f"admin:{name}", args=[], query=query)
        return Page(self.client.post(address, data, follow=True))

    def form(self, name: str, *args: Any, **query: Any) -> dict[str, Any]:
        """Open the page of an admin form and return what it would send, unchanged."""
        page = self.get(name, *args, **query)
        assert page.status == 200, page.status
        form = page.context["adminform"].form
        return values_of(form)


def values_of(form: Any) -> dict[str, Any]:
    """Return what a browser sends for a form nobody has touched."""
    data: dict[str, Any] = {}
    for field in form:
        value = field.value()
        widget = field.field.widget
        if hasattr(widget, "parts"):
            rows = widget.format_value(field.field.prepare_value(field.initial))
            for part in widget.parts:
                data[f"{field.html_name}__{part}"] = [row.get(part, "") for row in rows]
        elif field.field.disabled or value in (None, "", False):
            continue
        elif value is True:
            data[field.html_name] = "on"
        else:
            data[field.html_name] = value
    return data
