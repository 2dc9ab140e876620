"""Use the whole product at random for some minutes while it breaks, and judge it at the end.

People submit, plan, rerun, mark and stop through the REST API; plans and schedules run; processes
are killed, networks cut and silenced. All of it is chosen by the seed; when it happens is up to the
machine. Prints its figures, writes them to var/soak.json, and to docs/benchmarks.md after ten
minutes or more. Exit code 1: something was found.
"""

from __future__ import annotations

import argparse
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from json import loads
from pathlib import Path

import httpx

from config.embedded.data_directory import PROJECT_DIRECTORY
from tests.faults.planning import RUN, SHORT, STUBBORN
from tests.faults.product import call, holders_of
from tests.faults.servers import BROKERS, Postgres
from tests.soak.closing import Closing
from tests.soak.reporting import Figures, show, write
from tests.soak.stage import SoakStage
from tests.soak.users import Api, Json, Tally, User, random_schedule
from tests.soak.watching import Clock, Watch
from tests.support.waiting import wait_for

USERS = 3
LAYERS, WIDTH = 3, 3
# Seconds between two faults.
REST_FROM, REST_UNTIL = 2.0, 12.0
NAME = "soaker"


def main(arguments: Sequence[str]) -> int:
    """Soak, report, and return 1 when anything was found."""
    options = _parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that nothing is left behind
    seed = options.seed if options.seed is not None else secrets.randbelow(10**6)
    print(f"Soaking for {options.minutes:g} minutes on {options.broker}; SEED={seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="tidemill-soak-", dir="/tmp"))
    folder.chmod(0o711)  # a root's PostgreSQL has a user of its own
    (folder / "data").mkdir(mode=0o711)
    with ExitStack() as ends:
        ends.callback(shutil.rmtree, folder)
        postgres = Postgres(folder / "data")
        ends.callback(postgres.delete)
        broker = {one.name: one for one in BROKERS}[options.broker](folder / "broker")
        ends.callback(broker.kill)
        stage = SoakStage(folder, postgres, broker, ends, random.Random(f"{seed} stage"))
        figures = _soak(stage, seed, options.minutes * 60)
        if figures.findings:
            _keep_logs(folder)
    text = show(figures)
    print(text)
    write(figures, text, page=options.minutes >= 10)
    return int(bool(figures.findings))


def _soak(stage: SoakStage, seed: int, seconds: float) -> Figures:
    chance, tally, clock = random.Random(f"{seed} faults"), Tally(), Clock()
    token = _begin(stage)
    project, tasks = _make_tasks(Api(stage.port, tally, token), stage.folder, chance)
    watch = Watch(stage.product, stage.postgres.url)
    watch.start()
    stop = threading.Event()
    users = [
        User(Api(stage.port, tally, token), project, tasks, f"{seed} {number}", stop)
        for number in range(USERS)
    ]
    for user in users:
        user.start()
    faults: Counter[str] = Counter()
    soaked = Clock()
    while soaked.seconds < seconds:
        _rest(stage, chance.uniform(REST_FROM, REST_UNTIL))
        fault = chance.choice(stage.faults)
        faults[fault.__name__] += 1
        print(f"{soaked.seconds:6.1f} s  {fault.__name__}", flush=True)
        fault()
    stop.set()
    for user in users:
        user.join(120)
        if user.is_alive() or user.error is not None:
            tally.found(f"{user.name} broke: {user.error!r}")
    print(f"{soaked.seconds:6.1f} s  the faults are over; everything comes to its end", flush=True)
    _rest(stage, 12)  # switches, and what the last fault did
    gap_while_broken = watch.longest_gap
    closing = Closing(Api(stage.port, tally, token), stage.postgres.url, stage.product)
    ending = Clock()
    tally.findings += closing.run(tasks)
    ended_within = ending.seconds
    watch.end()
    stage.product.stop()
    for held in (stage.product.leftovers(), holders_of(stage.folder / "locks")):
        tally.findings += [f"outlived the product: {one}" for one in held]
    found = loads(call("tests.soak.judging", str(stage.folder), environment=stage.direct))
    return Figures(
        seed=seed,
        seconds=clock.seconds,
        broker=stage.broker.name,
        answers=tally.answers,
        faults=faults,
        counts=found["figures"] | {"instances without an upstream to come": closing.stranded},
        longest_gap=gap_while_broken,
        ended_within=ended_within,
        memory={name: (sizes[0], max(sizes), sizes[-1]) for name, sizes in watch.memory.items()},
        fell=stage.product.fell,
        findings=tally.findings + found["violations"],
    )


def _begin(stage: SoakStage) -> str:
    """Start the product with a superuser; return a token."""
    password = secrets.token_urlsafe(16)
    environment = stage.environment | {"DJANGO_SUPERUSER_PASSWORD": password}
    for command in (
        ["migrate", "--verbosity", "0"],
        ["createsuperuser", "--noinput", "--username", NAME, "--email", ""],
    ):
        subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=PROJECT_DIRECTORY,
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )
    for name in ("locks", "switches"):
        (stage.folder / name).mkdir()
    stage.product.start()
    address = f"http://127.0.0.1:{stage.port}"

    def is_ready() -> bool:
        try:
            return httpx.get(f"{address}/health/ready/", headers={"Host": "localhost"}).is_success
        except httpx.HTTPError:
            return False

    wait_for(is_ready, 90, complaint="it did not become ready")
    answer = httpx.post(
        f"{address}/api/v1/auth/token/",
        json={"username": NAME, "password": password},
        headers={"Host": "localhost"},
    )
    answer.raise_for_status()
    return str(answer.json()["token"])


def _make_tasks(api: Api, folder: Path, chance: random.Random) -> tuple[int, dict[int, Json]]:
    """Make a project with a graph of tasks and start them; return its id and {task: definition}."""

    def make(noun: str, body: Json) -> int:
        answer = api.call(f"make {noun}", "POST", f"{noun}/", body)
        assert answer is not None, f"{noun} could not be made"
        return int(answer["id"])

    project = make("projects", {"name": "soak"})
    workflow = make("workflows", {"project": project, "name": "soak"})
    tasks: dict[int, Json] = {}
    for layer in range(LAYERS):
        for place in range(WIDTH):
            work = STUBBORN if (layer, place) == (0, 0) else SHORT
            definition: Json = {
                "type": "shell",
                "code": RUN.format(folder=folder, work=work),
                "schedule": random_schedule(chance),
                "depends_on": [f"task_{layer - 1}_{other}" for other in range(place + 1)][
                    : 2 * layer
                ],
                "retries": {"limit": 100, "interval": 1},
                "self_dependent": (layer, place) == (1, 1),
            }
            if (layer, place) == (2, 0):
                definition["max_parallel"] = 2
            body = {"workflow": workflow, "name": f"task_{layer}_{place}", "definition": definition}
            tasks[make("tasks", body)] = definition
    assert api.call("submit tasks", "POST", "tasks/batch/submit/", {"ids": list(tasks)})
    api.call("start tasks", "POST", "tasks/batch/start/", {"ids": list(tasks)})
    return project, tasks


def _rest(stage: SoakStage, seconds: float) -> None:
    rested = Clock()
    while rested.seconds < seconds:
        stage.product.look_after()
        time.sleep(0.5)


def _keep_logs(folder: Path) -> None:
    kept = PROJECT_DIRECTORY / "var" / "soak-logs"
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    for log in [*folder.glob("*.log"), folder / "journal"]:
        if log.exists():
            shutil.copy(log, kept)
    print(f"The processes' logs are in {os.path.relpath(kept)}.", flush=True)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long things break")
    parser.add_argument("--seed", type=int, help="repeats what is chosen by chance")
    parser.add_argument(
        "--broker", choices=[one.name for one in BROKERS], default="redis", help="default: redis"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
