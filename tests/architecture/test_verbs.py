"""A verb is one file: everything else follows from its declaration."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from projects.models import Operation
from projects.roles import Right
from projects.verbs.catalogue import all_nouns, all_verbs, verbs_of
from projects.verbs.verb import Verb
from tests.api.routes import operations_of_schema
from tests.distributed.workers import database_url
from tests.factories import make_submitted_task, make_superuser
from tests.support.engine import new_instance

ROOT = Path(__file__).resolve().parents[2]
# The folder of the API's addresses, where it is not the noun's plural.
ADDRESSES = {"plans": "backfills"}


def spelled(verb: Verb) -> str:
    return f"{verb.noun.plural} {verb.key}"


def texts_of(app: str) -> str:
    """All tests of an app, as one text."""
    files = (ROOT / "tests" / app).rglob("test_*.py")
    return "\n".join(path.read_text(encoding="utf-8") for path in files)


@pytest.mark.parametrize("verb", all_verbs(), ids=spelled)
def test_a_verb_is_declared_whole(verb: Verb) -> None:
    for text in (verb.title, verb.done, verb.icon, verb.warning, verb.description):
        assert text, "a page or the API has nothing to say"
    assert verb.right in Right
    assert verb.effects, "no state allows it"
    for state, effect in verb.effects.items():
        assert state in verb.noun.states and effect
    app = verb.run.__module__.split(".")[0]
    assert re.search(rf"\b{verb.run.__name__}\b", texts_of(app)), "it has no test"


def test_every_verb_has_its_addresses() -> None:
    there = {(method, path) for method, path, _ in operations_of_schema()}
    wanted = {
        ("POST", f"{ADDRESSES.get(noun.plural, noun.plural)}/{whom}/{verb.key}/")
        for noun in all_nouns()
        for verb in verbs_of(noun)
        for whom in ("{id}", "batch")
    }
    assert len(wanted) > 30
    assert wanted <= there


TOY = '''
from instances.states import State
from instances.verbs.noun import INSTANCES
from projects.verbs.catalogue import declare

@declare(
    INSTANCES, "poke", title="Poke", done="poked", icon="touch_app",
    warning="Nothing else happens.", effects={State.NOT_RUN: "is poked"},
)
def poke(selection):
    """Poke instances."""
    return selection.outcomes(selection.rows)
'''
# What people and programs find of it, in a process that has the file and nothing else.
FINDING = """
import json, sys
from io import StringIO
import django
django.setup()
import instances.verbs
instances.verbs.__path__.append(sys.argv[1])
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import Client
from rest_framework.test import APIClient
from django.test.utils import setup_test_environment
setup_test_environment()
pk, user = sys.argv[2], get_user_model().objects.get(is_superuser=True)
client = Client()
client.force_login(user)
api = APIClient()
api.force_authenticate(user)
def post(address, body):
    return api.post(address, body, format="json").json()
def command(*arguments):
    out = StringIO()
    call_command("operate", *arguments, stdout=out)
    return out.getvalue()
admin = "/admin/instances/instance/"
print(json.dumps({
    "one": post(f"/api/v1/instances/{pk}/poke/", {})["id"],
    "many": post("/api/v1/instances/batch/poke/", {"ids": [int(pk)]})["succeeded"],
    "schema": api.get("/api/v1/schema/").content.decode(),
    "list": client.get(admin).content.decode(),
    "page": client.get(f"{admin}{pk}/change/").content.decode(),
    "confirm": client.get(f"{admin}operate/poke/?ids={pk}").content.decode(),
    "report": client.post(
        f"{admin}operate/poke/", {"ids": pk, "confirmed": "1"}, follow=True
    ).content.decode(),
    "known": command("instances"),
    "done": command("instances", "poke", "--ids", pk, "--yes"),
}))
"""


# Over 5 s: Django starts once more, with a verb that was not there.
@pytest.mark.django_db(transaction=True)
def test_a_new_verb_is_one_file(tmp_path: Path) -> None:
    from django.db import transaction

    from instances.engine.creation import create_instances
    from projects.ground import clock

    (tmp_path / "poke.py").write_text(TOY, encoding="utf-8")
    make_superuser()
    with transaction.atomic():
        later = clock.now() + timedelta(days=365)
        row = new_instance(make_submitted_task(), not_before=later)
        (pk,) = create_instances([row], now=clock.now(), batch_id=None)
    found = subprocess.run(
        [sys.executable, "-c", FINDING, str(tmp_path), str(pk)],
        cwd=ROOT,
        env=os.environ
        | {"DJANGO_SETTINGS_MODULE": "config.settings.test", "DATABASE_URL": database_url()},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert found.returncode == 0, found.stderr[-3000:]
    seen = json.loads(found.stdout.splitlines()[-1])
    assert (seen["one"], seen["many"]) == (pk, 1)
    for address in ("/instances/{id}/poke/", "/instances/batch/poke/"):
        assert address in seen["schema"]
    assert "is poked" in seen["schema"], "what happens is described state by state"
    assert "poke_chosen" in seen["list"] and "operate/poke/" in seen["page"]
    assert "Poke 1 instance" in seen["confirm"] and "is poked" in seen["confirm"]
    assert "1 instance poked" in seen["report"]
    assert "poke" in seen["known"] and "1 instances poked" in seen["done"]
    assert Operation.objects.filter(verb="instances.poke", succeeded=1).count() == 4
