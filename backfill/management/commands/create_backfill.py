"""`manage.py create_backfill`: preview, make, submit and follow a backfill plan."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any, NoReturn

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand
from rich.console import Console

from backfill.models import Plan
from backfill.planning.context import read_spec
from backfill.planning.preview import preview
from backfill.planning.preview_table import preview_table
from backfill.reading.watching import summary, watch_plan
from backfill.spec import PlanSpec
from backfill.spec import options as plan_options
from backfill.verbs.plans import create_plan
from backfill.verbs.submit import submit_plans
from projects.access import Actor, scope
from projects.ground import clock
from projects.ground.fields.options import add_options, read_options
from projects.ground.refusals import Invalid, Refusal
from projects.models import Project
from workflows.definitions.references import Place, find_tasks
from workflows.models import Folder, Workflow


class Command(BaseCommand):
    help = (
        "Preview a backfill plan, make it and, with --submit, run it. Without --submit it stays a "
        "draft; with --preview-only nothing is saved. Exit codes: 0 done, 1 with --wait when not "
        "every instance succeeded, 2 refused: each reason is a line FIELD: message on the error "
        "output, and nothing has been saved."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--project", required=True, help="the project's name")
        entry = parser.add_mutually_exclusive_group(required=True)
        entry.add_argument(
            "--tasks", nargs="+", metavar="WORKFLOW/TASK", help="tasks; or PROJECT/WORKFLOW/TASK"
        )
        entry.add_argument("--workflow", nargs="+", metavar="NAME", help="all tasks of workflows")
        entry.add_argument("--folder", nargs="+", metavar="PATH", help="all tasks below folders")
        entry.add_argument("--all", action="store_true", help="all tasks of the project")
        parser.add_argument("--from", dest="first", metavar="YYYY-MM-DD", help="default: yesterday")
        parser.add_argument("--to", dest="last", metavar="YYYY-MM-DD", help="default: as --from")
        add_options(parser, plan_options())
        parser.add_argument("--name", help="default: patch_<yyyyMMddHHmmss>_<nnn>")
        parser.add_argument("--description", default="")
        parser.add_argument(
            "--user", help="in whose name, and with whose rights; without it the system's own"
        )
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--preview-only", action="store_true", help="show, and save nothing")
        what.add_argument("--submit", action="store_true", help="let the plan run")
        parser.add_argument(
            "--wait", action="store_true", help="with --submit: follow it until it has ended"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console(file=self.stdout)  # type: ignore[arg-type]  # writes text like a file
        if options["wait"] and not options["submit"]:
            self._refuse([("--wait", "needs --submit.")])
        try:
            actor = self._actor(options["user"])
            project = self._project(options["project"], actor)
            spec = self._spec(options, project, actor)
            shown = preview(actor=actor, project_id=project.pk, spec=spec, now=clock.now())
            console.print(preview_table(shown))
            if options["preview_only"]:
                return
            plan = create_plan(
                actor=actor,
                project_id=project.pk,
                spec=spec,
                name=options["name"],
                description=options["description"],
            )
            if options["submit"]:
                submit_plans.one(actor=actor, pk=plan.pk)
        except Refusal as refusal:
            self._refuse(
                [(field, text) for field, texts in refusal.fields.items() for text in texts]
                or [("", refusal.detail)]
            )
        state = "submitted" if options["submit"] else "a draft"
        self.stdout.write(f"Plan {plan.pk}, {plan.name}, is {state}.")
        if options["wait"]:
            self._wait(plan, console)

    def _wait(self, plan: Plan, console: Console) -> None:
        progress = watch_plan(plan.pk, console, give_up=lambda: False)
        self.stdout.write(summary(progress))
        if progress.succeeded < progress.total:
            sys.exit(1)

    def _actor(self, username: str | None) -> Actor:
        if username is None:
            return None
        user = get_user_model().objects.filter(username=username, is_active=True).first()
        if user is None:
            self._refuse([("--user", f"There is no active user “{username}”.")])
        return user

    def _project(self, name: str, actor: Actor) -> Project:
        project = scope(Project.objects.filter(name=name), actor, path="").first()
        if project is None:
            self._refuse([("--project", f"There is no project “{name}”.")])
        return project

    def _spec(self, options: dict[str, Any], project: Project, actor: Actor) -> PlanSpec:
        data: dict[str, Any] = {
            "entry": self._entry(options, project, actor),
            **read_options(plan_options(), options),
        }
        if options["first"] or options["last"]:
            first = options["first"] or options["last"]
            data["periods"] = [{"first": first, "last": options["last"] or first}]
        return read_spec(data, project=project, now=clock.now())

    def _entry(self, options: dict[str, Any], project: Project, actor: Actor) -> dict[str, Any]:
        if options["all"]:
            return {"kind": "project"}
        if options["tasks"]:
            place = Place(project.pk, project.name, "")
            found = find_tasks([(place, name) for name in options["tasks"]], actor=actor)
            ids = {name: task.id for (_, name), task in found.items()}
            return {"kind": "tasks", "ids": self._all_of("--tasks", options["tasks"], ids)}
        if options["workflow"]:
            names = options["workflow"]
            flows = Workflow.objects.filter(project=project, name__in=names)
            ids = dict(flows.values_list("name", "pk"))
            return {"kind": "workflows", "ids": self._all_of("--workflow", names, ids)}
        paths = options["folder"]
        folders = Folder.objects.filter(project=project, path__in=paths)
        ids = dict(folders.values_list("path", "pk"))
        return {"kind": "folders", "ids": self._all_of("--folder", paths, ids)}

    def _all_of(self, option: str, names: list[str], ids: dict[str, int]) -> list[int]:
        missing = [(option, f"There is no “{name}”.") for name in names if name not in ids]
        if missing:
            raise Invalid.from_pairs(missing)
        return [ids[name] for name in names]

    def _refuse(self, problems: list[tuple[str, str]]) -> NoReturn:
        for field, message in problems:
            self.stderr.write(f"{field}: {message}" if field else message)
        sys.exit(2)
