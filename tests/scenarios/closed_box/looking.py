"""Looking at everything there is: each address of the API and of the admin, as one reader."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Model
from django.test import Client
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse
from knox.models import AuthToken

from backfill.models import Plan
from instances.models import Execution, Instance
from projects.models import DataSource, Member, Operation, Project, ResourceGroup
from tests.api.caller import Caller
from tests.api.routes import ROUTES, operations_of_schema
from tests.scenarios.closed_box.neighbourhood import Neighbourhood
from workflows.models import Dependency, Folder, Task, TaskVersion, Workflow

Answers = Mapping[str, str]  # by method and address

# What differs from one look to the next and means nothing.
_NOISE = re.compile(
    r'name="csrfmiddlewaretoken" value="\w+"|nonce="[^"]*"|X-CSRFToken[^}]*'
    r"|\bw=[\w-]{8}"
)
# Numbers that rows made on the way get; sequences go on. A plan's name of its own is of the second,
# and its revision is of its name.
_NUMBERS = re.compile(
    r'"(id|operation|batch)":\d+|patch_\d+_\d+|(?<="result":"pending",)"revision":"\w+"'
)
# Addresses that are not asked, and why.
LEFT_ALONE = {
    "logout": "ends the session",
    "view_on_site": "leads to a model's own page, which none has",
    "app_list": "the first page's list, without its rows",
    "jsi18n": "texts of the admin",
    "password_change_done": "a sentence",
}
# Keys of verbs that stand in addresses; what a noun does not know is a 404.
KEYS = (
    "rerun",
    "mark-success",
    "terminate",
    "freeze",
    "unfreeze",
    "remove-dependencies",
    "submit",
    "start",
    "pause",
    "resume",
    "offline",
)


def own_ids(hood: Neighbourhood) -> dict[type[Model], list[int]]:
    """The rows that the reader may open, of every model that has addresses."""
    own = hood.own.project
    tasks = Task.objects.filter(project=own)
    found: dict[Any, Any] = {
        Project: Project.objects.filter(pk=own.pk),
        Member: Member.objects.filter(project=own),
        ResourceGroup: ResourceGroup.objects.filter(pk=hood.own.group.pk),
        DataSource: DataSource.objects.filter(project=own),
        Operation: Operation.objects.filter(project=own),
        Folder: Folder.objects.filter(project=own),
        Workflow: Workflow.objects.filter(project=own),
        Task: tasks,
        TaskVersion: TaskVersion.objects.filter(task__in=tasks),
        Dependency: Dependency.objects.filter(downstream__in=tasks)
        | Dependency.objects.filter(upstream__in=tasks),
        # One of each task and plan: those of other dates are like it.
        Instance: Instance.objects.filter(
            pk__in=Instance.objects.filter(project=own)
            .order_by("task_id", "batch_id", "-id")
            .distinct("task_id", "batch_id")
            .values("pk")
        ),
        Execution: Execution.objects.filter(instance__project=own),
        Plan: Plan.objects.filter(project=own),
        get_user_model(): get_user_model().objects.filter(pk=hood.reader.pk),
        AuthToken: AuthToken.objects.filter(user=hood.reader),
    }
    return {
        model: sorted(set(rows.order_by().values_list("pk", flat=True)))
        for model, rows in found.items()
    }


_NOUNS: dict[str, type[Model]] = {
    "projects": Project,
    "members": Member,
    "resource-groups": ResourceGroup,
    "data-sources": DataSource,
    "operations": Operation,
    "folders": Folder,
    "workflows": Workflow,
    "tasks": Task,
    "versions": TaskVersion,
    "dependencies": Dependency,
    "instances": Instance,
    "executions": Execution,
    "backfills": Plan,
    "tokens": AuthToken,
}


def look_at_api(hood: Neighbourhood) -> Answers:
    """Call every operation of the OpenAPI document; what one changes is undone."""
    caller, ids = Caller(hood.reader), own_ids(hood)
    return dict(_read(caller, ids)) | dict(_write(caller, hood))


def _read(caller: Caller, ids: Mapping[type[Model], list[int]]) -> Iterator[tuple[str, str]]:
    for method, path, operation in operations_of_schema():
        if method != "GET":
            continue
        for address in _addresses(path, ids):
            for query in _queries(path, operation):
                response = caller.call("GET", address + query)
                yield f"GET {address}{query}", _content(response)


def _addresses(path: str, ids: Mapping[type[Model], list[int]]) -> list[str]:
    noun = path.split("/")[0]
    found = [path.replace("{number}", "1")]
    if "{id}" in path:
        assert noun in _NOUNS, f"{path}: say which rows a reader may open"
        found = [found[0].replace("{id}", str(pk)) for pk in ids[_NOUNS[noun]]]
    assert not any("{" in address for address in found), f"{path}: say what stands in the address"
    return found


def _queries(path: str, operation: Mapping[str, Any]) -> list[str]:
    """Without a query; of what is no list also with each value that a parameter may have."""
    found = [""]
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "query" and "{" in path:
            schema = parameter["schema"]
            values = schema.get("enum") or schema.get("items", {}).get("enum") or []
            found += [f"?{parameter['name']}={value}" for value in values]
    return found


def _write(caller: Caller, hood: Neighbourhood) -> Iterator[tuple[str, str]]:
    for route in ROUTES:
        if route.method == "GET" or route.path.startswith("auth/"):
            continue
        with transaction.atomic():
            address = route.address(hood.own)
            response = caller.call(route.method, address, route.body(hood.own))
            yield f"{route.method} {address}", _NUMBERS.sub("", _content(response))
            transaction.set_rollback(True)


def look_at_pages(hood: Neighbourhood) -> Answers:
    """Open every page of the admin."""
    client, ids = Client(), own_ids(hood)
    client.force_login(get_user_model().objects.get(pk=hood.reader.pk))
    found: dict[str, str] = {}
    for name, arguments in _pages():
        if name in LEFT_ALONE:
            continue
        for address in _page_addresses(name, arguments, ids):
            for query in _page_queries(name, ids):
                response = client.get(address + query, follow=True)
                if response.status_code in (200, 400, 403):
                    found[f"{name} {address}{query}"] = _content(response)
    for address, data in _forms(hood):
        found[f"POST {address}"] = _content(client.post(address, data, follow=True))
    return found


def _pages() -> Iterator[tuple[str, tuple[str, ...]]]:
    """The names of the admin's addresses, and what stands in each."""

    def walk(patterns: list[Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
        for one in patterns:
            if isinstance(one, URLResolver):
                yield from walk(one.url_patterns)
            elif isinstance(one, URLPattern) and one.name:
                yield one.name, tuple(one.pattern.converters) or tuple(one.pattern.regex.groupindex)

    (admin,) = (
        one for one in get_resolver().url_patterns if getattr(one, "namespace", "") == "admin"
    )
    yield from dict(walk(admin.url_patterns)).items()


def _page_addresses(
    name: str, arguments: tuple[str, ...], ids: Mapping[type[Model], list[int]]
) -> Iterator[str]:
    values: dict[str, list[Any]] = {"key": list(KEYS), "number": [0, 1]}
    if {"pk", "object_id", "id"} & set(arguments):
        rows = ids[_model_of(name)]
        values |= {"pk": rows, "object_id": rows, "id": rows}
    unknown = set(arguments) - values.keys()
    assert not unknown, f"{name}: say what {unknown} may be"
    for chosen in product(*(values[argument] for argument in arguments)):
        try:
            yield reverse(f"admin:{name}", kwargs=dict(zip(arguments, chosen, strict=True)))
        except NoReverseMatch:  # two pages of one name: this one is not the one that is shown
            continue


def _model_of(name: str) -> type[Model]:
    """The model whose id stands in a page's address: of "workflows_task_edit" the task."""
    word = name.split("_")[1]
    return next(model for model in apps.get_models() if model._meta.model_name == word)


def _page_queries(name: str, ids: Mapping[type[Model], list[int]]) -> list[str]:
    if name == "search":
        return ["?s=_flow", "?s=_source", "?s=up"]
    if name == "backfill_plan_edit":
        return ["", "?step=3"]
    if name.endswith(("_operate", "_status")):
        rows = ids[_model_of(name)]
        return [f"?ids={rows[0]}", f"?ids={rows[-1]}", f"?ids={','.join(map(str, rows))}"]
    if name == "backfill_plan_add":
        begun = [f"?kind=tasks&ids={pk}" for pk in ids[Task]]
        return ["", *(f"?like={pk}" for pk in ids[Plan]), *begun]
    return [""]


def _forms(hood: Neighbourhood) -> Iterator[tuple[str, dict[str, Any]]]:
    """Forms that show something before they change anything."""
    tasks = [hood.own.up.pk, hood.joined.pk]
    for scope in ("selected_and_downstream", "only_downstream"):
        chosen = {
            "project": hood.own.project.pk,
            "kind": "tasks",
            "ids_tasks": tasks,
            "scope": scope,
            "period_first": "2024-05-01",
            "period_last": "2024-05-02",
            "range_by": "data_date",
            "time_from": "00:00",
            "time_until": "23:59",
        }
        yield reverse("admin:backfill_plan_downstream"), chosen
        for step in ("2", "3"):
            yield reverse("admin:backfill_plan_add"), {**chosen, "go": step}


def _content(response: Any) -> str:
    assert response.status_code < 500, response.content[:2000]
    raw = b"".join(response.streaming_content) if response.streaming else response.content
    text = raw.decode()
    if "json" in response.headers.get("Content-Type", ""):  # an object has no order
        text = json.dumps(
            json.loads(text), sort_keys=True, ensure_ascii=False, separators=(",", ":")
        )
    return _NOISE.sub("", f"{response.status_code} {text}")
