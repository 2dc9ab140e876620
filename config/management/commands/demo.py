"""`manage.py demo`: the main job on real data, from the workflow file to the result."""

from __future__ import annotations

import os
import sys
import threading
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.table import Table

from backfill.demo.seattle import FIRST_WEEK, DemoUnavailable, read_days, set_up
from backfill.models import Plan
from backfill.planning.preview import preview
from backfill.planning.preview_table import preview_table
from backfill.reading.progress import Progress
from backfill.reading.watching import is_over, summary, watch_plan
from backfill.verbs.plans import create_plan
from backfill.verbs.submit import submit_plans
from config.embedded.first_start import ensure_first_login, migrate_when_needed
from config.embedded.postgres_placement import EmbeddedPostgresError
from config.embedded.up import serve
from config.embedded.web_server import PortUnavailable
from config.embedded.workers import BrokerUnreachable
from instances.models import Instance
from instances.states import State
from projects.ground import clock
from projects.ground.refusals import Refusal

FAILURES_SHOWN = 10


class Command(BaseCommand):
    help = (
        "Import a workflow over Seattle's temperatures, backfill the first week of July 2010, show "
        "the result, and go on serving. Each run makes a new plan. With --exit it ends after the "
        "run. Exit codes: 0 every instance succeeded, 1 not every one did or the product could not "
        "start, 2 port in use."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--exit", action="store_true", help="end after the run")
        parser.add_argument(
            "--no-up",
            action="store_true",
            help="start nothing: workers and beat of DATABASE_URL and BROKER_URL do the work",
        )
        parser.add_argument("--host", default=os.environ.get("HOST") or "127.0.0.1")
        parser.add_argument("--port", type=int, default=os.environ.get("PORT") or 8000)
        parser.add_argument(
            "--timeout", type=float, default=600, metavar="SECONDS", help="of the run (600)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self._console = Console(file=self.stdout)  # type: ignore[arg-type]  # writes text
        if options["no_up"]:
            migrate_when_needed()
            ensure_first_login()
            sys.exit(self._run(threading.Event(), options["timeout"]))

        # Before the first task: what it may reach is settled then.
        (Path(settings.DATA_DIRECTORY) / "demo").mkdir(parents=True, exist_ok=True)

        def work(stop: threading.Event) -> int:
            try:
                return self._run(stop, options["timeout"])
            finally:
                if options["exit"]:
                    stop.set()

        try:
            sys.exit(
                serve(host=options["host"], port=options["port"], output=self.stdout, work=work)
            )
        except PortUnavailable as error:
            raise CommandError(str(error), returncode=2) from error
        except (EmbeddedPostgresError, BrokerUnreachable) as error:
            raise CommandError(str(error)) from error

    def _run(self, stop: threading.Event, timeout: float) -> int:
        """Set the project up, run its plan and show what came out; return the exit code."""
        users = get_user_model()._default_manager
        actor = users.filter(is_superuser=True, is_active=True).order_by("pk").first()
        try:
            demo = set_up(actor=actor, data_directory=Path(settings.DATA_DIRECTORY))
            shown = preview(
                actor=actor, project_id=demo.project.pk, spec=demo.spec, now=clock.now()
            )
            plan = create_plan(
                actor=actor,
                project_id=demo.project.pk,
                spec=demo.spec,
                description="The demo: the first week of July 2010.",
            )
            submit_plans.one(actor=actor, pk=plan.pk)
        except DemoUnavailable as error:
            raise CommandError(str(error)) from error
        except Refusal as refusal:
            raise CommandError(refusal.detail) from refusal
        self._console.print(preview_table(shown))
        self._console.print(f"Plan {plan.name} runs …", highlight=False)
        began = time.monotonic()
        progress = watch_plan(
            plan.pk,
            self._console,
            give_up=lambda: stop.is_set() or time.monotonic() - began > timeout,
        )
        if not is_over(progress):
            self._console.print(summary(progress), highlight=False, soft_wrap=True)
            self.stderr.write(
                "Interrupted; the next start goes on with the plan."
                if stop.is_set()
                else "The plan has not ended in time. Are workers and beat running?"
            )
            return 1
        self._report(plan, progress, demo.folder, time.monotonic() - began)
        return 0 if progress.succeeded == progress.total else 1

    def _report(self, plan: Plan, progress: Progress, folder: Path, seconds: float) -> None:
        table = Table("Day", title="Seattle, temperatures in °F")
        for name in ("Min", "Mean", "Max"):
            table.add_column(name, justify="right")
        for day in read_days(folder):
            table.add_row(str(day.date), f"{day.min:.1f}", str(day.mean), f"{day.max:.1f}")
        self._console.print(table)
        self._console.print(
            f"{summary(progress)} in {seconds:.1f} s", highlight=False, soft_wrap=True
        )
        report = folder / "reports" / f"{FIRST_WEEK.last}.html"
        if report.exists():
            self._console.print(f"Report: {report}", highlight=False, soft_wrap=True)
        failed = Instance.objects.filter(batch=plan.batch_id, state=State.FAILED)
        for instance in failed.select_related("task").order_by("pk")[:FAILURES_SHOWN]:
            self.stderr.write(f"{instance}: {instance.error_code} {instance.error_message}")
