"""A data source's password goes where it was given for, and stands in no URL (V9)."""

from __future__ import annotations

from typing import Any

import pytest

from projects.models import DataSource
from tests.api.caller import Caller
from tests.api.world import World

pytestmark = [pytest.mark.django_db, pytest.mark.feature("P5")]

URL = "postgresql+psycopg://reader@db.internal:5432/sales"


@pytest.fixture
def admin(world: World) -> Caller:
    """An administrator of the project, who does not know the password."""
    return Caller(world.users["administrator"])


@pytest.fixture
def address(world: World) -> str:
    """The address of a source with a password."""
    source = world.place.source
    DataSource.objects.filter(pk=source.pk).update(url=URL)
    return f"data-sources/{source.pk}/"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://reader@evil.example:5432/sales",
        "postgresql+psycopg://reader@db.internal:5433/sales",
        "postgresql+psycopg://writer@db.internal:5432/sales",
        "mysql+pymysql://reader@db.internal:5432/sales",
        "postgresql+psycopg://reader@db.internal:5432/sales?host=evil.example",
    ],
)
def test_who_changes_where_it_goes_gives_it_again(admin: Caller, address: str, url: str) -> None:
    answer = admin.patch(address, {"url": url}, 400)
    assert (answer["code"], list(answer["fields"])) == ("password_needed", ["password"])
    assert admin.get(address)["url"] == URL
    assert admin.patch(address, {"url": url, "password": "known"})["url"] == url


def test_another_database_of_the_same_server_keeps_it(admin: Caller, address: str) -> None:
    changed = admin.patch(address, {"url": URL.replace("sales", "stock")})
    assert changed["has_password"] is True


def test_the_password_may_be_taken_away_instead(admin: Caller, address: str) -> None:
    moved = URL.replace("db.internal", "other.internal")
    assert admin.patch(address, {"url": moved, "password": ""})["has_password"] is False


@pytest.mark.parametrize(
    "url",
    [
        "mssql+pyodbc:///?odbc_connect=DRIVER%3D%7Bx%7D%3BSERVER%3Dh%3BUID%3Du%3BPWD%3Dhush",
        "mssql+pyodbc:///?odbc_connect=Server%3Dh%3BPassword%3Dhush",
        "mssql+pyodbc://u@h/d?pwd=hush",
        "postgresql://u@h/d?password=hush",
        "postgresql://u@h/d?sslpassword=hush",
    ],
)
def test_no_password_stands_in_a_url(admin: Caller, world: World, url: str) -> None:
    body = {"project": world.place.project.pk, "name": "new", "url": url}
    answer = admin.post("data-sources/", body, 400)
    assert list(answer["fields"]) == ["url"]


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////etc/passwd",
        "sqlite:///relative.db",
        "postgresql:///tidemill",
        "postgresql://postgres@/tidemill?host=/var/run/postgresql",
        "postgresql://u@%2Fvar%2Frun/tidemill",
        "mysql+pymysql://u@h/d?unix_socket=/run/mysqld.sock",
        "postgresql://u@h/d?passfile=/root/.pgpass",
    ],
)
def test_files_and_sockets_of_the_machine_are_the_installations(
    admin: Caller, world: World, url: str
) -> None:
    body: dict[str, Any] = {"project": world.place.project.pk, "name": "new", "url": url}
    answer = admin.post("data-sources/", body, 400)
    assert list(answer["fields"]) == ["url"]


def test_an_administrator_of_the_installation_may_name_a_file(world: World) -> None:
    body = {"project": world.place.project.pk, "name": "new", "url": "sqlite:////srv/shared.db"}
    made = Caller(world.superuser).post("data-sources/", body, 201)
    assert made["url"] == "sqlite:////srv/shared.db"


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "duckdb:///:memory:",
        "mssql+pyodbc:///?odbc_connect=Driver%3Dx%3BServer%3Dh%3BUID%3Du",
        "postgresql://u@/d?host=db.internal",
    ],
)
def test_a_host_or_memory_is_everybodys(admin: Caller, world: World, url: str) -> None:
    body = {"project": world.place.project.pk, "name": "new", "url": url}
    assert admin.post("data-sources/", body, 201)["name"] == "new"
