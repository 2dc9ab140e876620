"""`manage.py import_workflows`: workflow files into a project."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, NoReturn

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand
from django.db import transaction

from projects.access import Actor, scope
from projects.ground.refusals import Refusal
from projects.models import Project
from workflows.bundles.importing import ImportedWorkflow, ImportResult, import_bundles
from workflows.bundles.problems import BundleError, BundleProblem
from workflows.bundles.reading import MAX_SIZE
from workflows.bundles.schema import WorkflowBundle, parse_bundle
from workflows.editing.names import check_name


class Command(BaseCommand):
    help = (
        "Make a project's workflows what the files say. All files are imported, or nothing is: "
        "every problem is a line FILE:LINE: FIELD: message on the error output, and the exit code "
        "is 2. The form of the files is described in docs/workflow-files.md."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "files", nargs="+", metavar="FILE", help="a workflow file; - is the standard input"
        )
        parser.add_argument("--project", required=True, help="the project's name")
        parser.add_argument(
            "--create-project", action="store_true", help="make the project when there is none"
        )
        parser.add_argument(
            "--submit", action="store_true", help="submit the tasks of the files as one batch"
        )
        parser.add_argument("--comment", default="", help="a comment on the submission")
        parser.add_argument(
            "--prune",
            action="store_true",
            help="delete tasks that a file leaves out and that were never submitted",
        )
        parser.add_argument(
            "--user", help="in whose name, and with whose rights; without it the system's own"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="check and report, and save nothing"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        bundles = self._read(options["files"])
        try:
            with transaction.atomic():
                result = import_bundles(
                    actor=(actor := self._actor(options["user"])),
                    project_id=self._project_id(options, actor),
                    bundles=bundles,
                    submit=options["submit"],
                    prune=options["prune"],
                    comment=options["comment"],
                )
                transaction.set_rollback(options["dry_run"])
        except BundleError as error:
            self._refuse(*error.problems)
        except Refusal as error:
            self._refuse(error.detail)
        self._report(result, dry_run=options["dry_run"])

    def _read(self, files: list[str]) -> list[WorkflowBundle]:
        bundles: list[WorkflowBundle] = []
        problems: list[BundleProblem] = []
        for name in files:
            try:
                bundles += parse_bundle(_text_of(name), name)
            except BundleError as error:
                problems += error.problems
            except OSError as error:
                problems.append(BundleProblem(name, 0, "", error.strerror or str(error)))
            except UnicodeDecodeError as error:
                line = error.object.count(b"\n", 0, error.start) + 1
                problems.append(BundleProblem(name, line, "", "This is not UTF-8."))
        if problems:
            self._refuse(*problems)
        return bundles

    def _actor(self, username: str | None) -> Actor:
        if username is None:
            return None
        user = get_user_model().objects.filter(username=username, is_active=True).first()
        if user is None:
            self._refuse(f"There is no active user “{username}”.")
        return user

    def _project_id(self, options: dict[str, Any], actor: Actor) -> int:
        name = options["project"]
        project = scope(Project.objects.filter(name=name), actor, path="").first()
        if project is None and options["create_project"]:
            if actor is not None and not actor.is_superuser:
                self._refuse("Only a superuser may create a project.")
            if faults := check_name(name, "project"):
                self._refuse(f"--project: {faults[0][1]}")
            project = Project.objects.create(name=name)
        if project is None:
            self._refuse(f"There is no project “{name}”: --create-project makes it.")
        return project.pk

    def _refuse(self, *problems: object) -> NoReturn:
        for problem in problems:
            self.stderr.write(str(problem))
        sys.exit(2)

    def _report(self, result: ImportResult, *, dry_run: bool) -> None:
        for workflow in result.workflows:
            self.stdout.write(f"{workflow.name}: {_sentence(workflow)}")
        if result.submission is not None:
            codes = [outcome.code for outcome in result.submission.outcomes]
            counts = [f"{codes.count(code)} {code}" for code in dict.fromkeys(codes)]
            self.stdout.write(f"Submission: {', '.join(counts)}")
        if dry_run:
            self.stdout.write("This was a dry run: nothing has been saved.")


def _text_of(name: str) -> str:
    if name == "-":
        return sys.stdin.read(MAX_SIZE + 1)
    with Path(name).open("rb") as file:
        return file.read(4 * MAX_SIZE + 1).decode()


def _sentence(workflow: ImportedWorkflow) -> str:
    parts = ["created" if workflow.created else "changed" if workflow.changed else "as it was"]
    for word in ("created", "changed", "unchanged", "left", "deleted"):
        names = getattr(workflow, f"tasks_{word}")
        if names and word in ("left", "deleted"):
            where = "not in the file, left alone" if word == "left" else "not in the file, deleted"
            parts.append(f"{where}: {', '.join(names)}")
        elif names:
            parts.append(f"{len(names)} task{'s' if len(names) > 1 else ''} {word}")
    return "; ".join(parts)
