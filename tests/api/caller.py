"""Calling the API in tests: addresses below /api/v1/, answers as data."""

from __future__ import annotations

import json
from typing import Any

from django.contrib.auth.models import User
from rest_framework.test import APIClient

PREFIX = "/api/v1/"


class Caller:
    """A user's API client; None is somebody who has not logged in."""

    def __init__(self, user: User | None = None) -> None:
        self.client = APIClient()
        self.user = user
        if user is not None:
            self.client.force_authenticate(user)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Call an address, below the prefix or a whole one, and return the response."""
        address = path if path.startswith(("/", "http")) else PREFIX + path
        if method == "GET":
            return self.client.get(address, headers=headers)
        raw = body if isinstance(body, bytes) else json.dumps({} if body is None else body)
        return self.client.generic(
            method, address, raw, content_type="application/json", headers=headers
        )

    def get(self, path: str, status: int = 200) -> Any:
        """Read an address; return the answer's data."""
        return self._data(self.call("GET", path), status)

    def post(self, path: str, body: Any = None, status: int = 200, **headers: str) -> Any:
        """Post to an address; return the answer's data."""
        return self._data(self.call("POST", path, body, **headers), status)

    def patch(self, path: str, body: Any = None, status: int = 200) -> Any:
        """Patch an address; return the answer's data."""
        return self._data(self.call("PATCH", path, body), status)

    def delete(self, path: str, status: int = 204) -> Any:
        """Delete an address; return the answer's data."""
        return self._data(self.call("DELETE", path), status)

    def all(self, path: str) -> list[Any]:
        """Return the rows of all pages of a list."""
        rows: list[Any] = []
        following: str | None = path
        while following:
            page = self.get(following)
            rows += page["results"]
            following = page["next"]
        return rows

    def ids(self, path: str) -> list[int]:
        """Return the ids of the rows of all pages of a list."""
        return [row["id"] for row in self.all(path)]

    def _data(self, response: Any, status: int) -> Any:
        assert response.status_code == status, (response.status_code, response.content[:2000])
        return response.json() if response.content else None
