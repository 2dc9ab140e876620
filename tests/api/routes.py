"""Every operation of the API, and which right it asks for: what the tests of access walk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from drf_spectacular.generators import SchemaGenerator

from projects.roles import RIGHTS, Right, Role
from tests.api.world import Place
from tests.factories import mapping

Body = Callable[[Place], Any]

# Who may, besides those who have a right in the project.
ANYBODY, USER, STAFF, SUPERUSER = "anybody", "user", "staff", "superuser"
OWNER = "owner"  # and superusers; for everybody else it does not exist


@dataclass(frozen=True)
class Route:
    """An operation. `needs` is a right in the project, or one of the words above."""

    method: str
    path: str  # with names of Place.ids, or of its fields, in braces
    needs: Right | str
    body: Body = lambda place: {}

    @property
    def template(self) -> str:
        """The path as the schema has it."""
        parts = self.path.split("/")
        for index, part in enumerate(parts):
            if part.startswith("{"):
                parts[index] = "{id}"
        text = "/".join(parts)
        return text.replace("versions/1", "versions/{number}")

    def address(self, place: Place) -> str:
        """The path in a place."""
        text = self.path.replace("{draft}", str(place.draft.pk))
        text = text.replace("{expanded}", str(place.expanded.pk))
        noun = self.path.split("/")[0]
        return text.replace("{id}", str(place.ids.get(noun, "")))

    @property
    def is_list(self) -> bool:
        return self.method == "GET" and "{" not in self.path

    def may(self, role: Role) -> bool:
        """Whether a member with the role, who is no staff, may."""
        if isinstance(self.needs, Right):
            return self.needs in RIGHTS[role]
        if self.needs == OWNER:
            return role == Role.VIEWER  # whose token it is
        return self.needs in (ANYBODY, USER)

    @property
    def refusal(self) -> str:
        """What a member is told who may not."""
        return "not_found" if self.needs == OWNER else "forbidden"


def _spec(place: Place) -> dict[str, Any]:
    return {
        "entry": {"kind": "tasks", "ids": [place.up.pk]},
        "periods": [{"first": "2024-05-01", "last": "2024-05-02"}],
    }


def _yaml(place: Place) -> str:
    return (
        "tidemill: 1\nworkflow: imported\ntasks:\n"
        '  - name: one\n    type: virtual\n    schedule: {cycle: day, at: "00:00"}\n'
    )


VIEW, DEVELOP, OPERATE, ADMINISTER = Right.VIEW, Right.DEVELOP, Right.OPERATE, Right.ADMINISTER

_READ = [
    "projects/",
    "projects/{id}/",
    "members/",
    "members/{id}/",
    "resource-groups/",
    "resource-groups/{id}/",
    "data-sources/",
    "data-sources/{id}/",
    "operations/",
    "operations/{id}/",
    "operations/{id}/objects/",
    "folders/",
    "folders/{id}/",
    "workflows/",
    "workflows/{id}/",
    "workflows/{id}/export/",
    "tasks/",
    "tasks/{id}/",
    "tasks/{id}/versions/",
    "tasks/{id}/versions/1/",
    "tasks/{id}/versions/1/diff/",
    "tasks/{id}/fires/",
    "versions/",
    "versions/{id}/",
    "dependencies/",
    "dependencies/{id}/",
    "instances/",
    "instances/counts/",
    "instances/{id}/",
    "instances/{id}/executions/",
    "instances/{id}/log/",
    "instances/{id}/waiting/",
    "instances/{id}/edges/",
    "executions/",
    "executions/{id}/",
    "executions/{id}/log/",
    "executions/{id}/log/download/",
    "backfills/",
    "backfills/{id}/",
    "backfills/{expanded}/tasks/",
    "backfills/{expanded}/cells/",
    "backfills/{expanded}/days/",
]

ROUTES: list[Route] = [
    Route("POST", "auth/token/", ANYBODY, lambda place: {"username": "viewer", "password": "no"}),
    Route("POST", "auth/logout/", USER),
    Route("GET", "tokens/", USER),
    Route("GET", "tokens/{id}/", OWNER),
    Route("DELETE", "tokens/{id}/", OWNER),
    Route("GET", "me/", USER),
    *(Route("GET", path, VIEW) for path in _READ),
    Route("POST", "projects/", STAFF, lambda place: {"name": "another"}),
    Route("PATCH", "projects/{id}/", ADMINISTER, lambda place: {"description": "new"}),
    Route(
        "POST",
        "members/",
        ADMINISTER,
        lambda place: {"project": place.project.pk, "user": "root", "role": "viewer"},
    ),
    Route("PATCH", "members/{id}/", ADMINISTER, lambda place: {"role": "operator"}),
    Route("DELETE", "members/{id}/", ADMINISTER),
    Route("POST", "resource-groups/", SUPERUSER, lambda place: {"name": "another"}),
    Route("PATCH", "resource-groups/{id}/", SUPERUSER, lambda place: {"slots": 3}),
    Route("DELETE", "resource-groups/{id}/", SUPERUSER),
    Route(
        "POST",
        "data-sources/",
        ADMINISTER,
        lambda place: {"project": place.project.pk, "name": "another", "url": "sqlite://"},
    ),
    Route("PATCH", "data-sources/{id}/", ADMINISTER, lambda place: {"password": "new"}),
    Route("DELETE", "data-sources/{id}/", ADMINISTER),
    Route(
        "POST",
        "folders/",
        DEVELOP,
        lambda place: {"project": place.project.pk, "name": "another"},
    ),
    Route("PATCH", "folders/{id}/", DEVELOP, lambda place: {"name": "renamed"}),
    Route("DELETE", "folders/{id}/", DEVELOP),
    Route(
        "POST",
        "workflows/",
        DEVELOP,
        lambda place: {"project": place.project.pk, "name": "another"},
    ),
    Route("PATCH", "workflows/{id}/", DEVELOP, lambda place: {"name": "renamed"}),
    Route("DELETE", "workflows/{id}/", DEVELOP),
    Route("POST", "operations/{id}/cancel/", OPERATE),
    Route("POST", "workflows/{id}/submit/", DEVELOP),
    *[
        Route("POST", f"workflows/{{id}}/{verb}/", OPERATE)
        for verb in ("start", "pause", "offline")
    ],
    Route("POST", "workflows/batch/submit/", DEVELOP, lambda place: {"ids": [place.workflow.pk]}),
    *[
        Route(
            "POST",
            f"workflows/batch/{verb}/",
            OPERATE,
            lambda place: {"ids": [place.workflow.pk]},
        )
        for verb in ("start", "pause", "offline")
    ],
    Route(
        "POST",
        "workflows/import/",
        DEVELOP,
        lambda place: {"project": place.project.pk, "yaml": _yaml(place)},
    ),
    Route(
        "POST",
        "tasks/",
        DEVELOP,
        lambda place: {
            "workflow": place.workflow.pk,
            "name": "another",
            "definition": mapping(),
        },
    ),
    Route("PATCH", "tasks/{id}/", DEVELOP, lambda place: {"definition": mapping(code="new")}),
    Route("DELETE", "tasks/{draft}/", DEVELOP),
    Route("POST", "tasks/{draft}/submit/", DEVELOP),
    Route("POST", "tasks/{id}/start/", OPERATE),
    Route("POST", "tasks/{id}/pause/", OPERATE),
    Route("POST", "tasks/{id}/offline/", OPERATE),
    Route("POST", "tasks/batch/submit/", DEVELOP, lambda place: {"ids": [place.draft.pk]}),
    Route("POST", "tasks/batch/start/", OPERATE, lambda place: {"ids": [place.up.pk]}),
    Route("POST", "tasks/batch/pause/", OPERATE, lambda place: {"ids": [place.up.pk]}),
    Route("POST", "tasks/batch/offline/", OPERATE, lambda place: {"ids": [place.up.pk]}),
    Route(
        "POST",
        "tasks/{id}/preview-parameters/",
        VIEW,
        lambda place: {"data_date": "2026-01-31"},
    ),
    Route("POST", "instances/{id}/terminate/", OPERATE),
    Route("POST", "instances/{id}/rerun/", OPERATE),
    Route("POST", "instances/{id}/mark-success/", OPERATE),
    Route("POST", "instances/batch/terminate/", OPERATE, lambda place: {"ids": [place.first.pk]}),
    Route("POST", "instances/batch/rerun/", OPERATE, lambda place: {"ids": [place.first.pk]}),
    Route(
        "POST", "instances/batch/mark-success/", OPERATE, lambda place: {"ids": [place.first.pk]}
    ),
    Route("POST", "instances/{id}/freeze/", OPERATE),
    Route("POST", "instances/{id}/unfreeze/", OPERATE),
    Route("POST", "instances/{id}/remove-dependencies/", OPERATE, lambda place: {"all": True}),
    Route("POST", "instances/batch/freeze/", OPERATE, lambda place: {"ids": [place.first.pk]}),
    Route("POST", "instances/batch/unfreeze/", OPERATE, lambda place: {"ids": [place.first.pk]}),
    Route(
        "POST",
        "instances/batch/remove-dependencies/",
        OPERATE,
        lambda place: {"ids": [place.first.pk]},
    ),
    Route(
        "POST",
        "backfills/",
        OPERATE,
        lambda place: {"project": place.project.pk, "spec": _spec(place)},
    ),
    Route("PATCH", "backfills/{id}/", OPERATE, lambda place: {"spec": _spec(place)}),
    Route("DELETE", "backfills/{id}/", OPERATE),
    Route(
        "POST",
        "backfills/preview/",
        OPERATE,
        lambda place: {"project": place.project.pk, "spec": _spec(place)},
    ),
    Route("POST", "backfills/{id}/preview/", OPERATE),
    Route("POST", "backfills/{id}/submit/", OPERATE),
    Route("POST", "backfills/{expanded}/terminate/", OPERATE),
    Route("POST", "backfills/{expanded}/pause/", OPERATE),
    Route("POST", "backfills/{expanded}/resume/", OPERATE),
    Route("POST", "backfills/batch/submit/", OPERATE, lambda place: {"ids": [place.plan.pk]}),
    Route("POST", "backfills/batch/pause/", OPERATE, lambda place: {"ids": [place.expanded.pk]}),
    Route("POST", "backfills/batch/resume/", OPERATE, lambda place: {"ids": [place.expanded.pk]}),
    Route(
        "POST", "backfills/batch/terminate/", OPERATE, lambda place: {"ids": [place.expanded.pk]}
    ),
]


@cache
def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return schema


def operations_of_schema() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield (method, path below the prefix, operation) of everything in the OpenAPI document."""
    for path, item in _schema()["paths"].items():
        for method, operation in item.items():
            if method in ("get", "post", "put", "patch", "delete"):
                yield method.upper(), path.removeprefix("/api/v1/"), operation
