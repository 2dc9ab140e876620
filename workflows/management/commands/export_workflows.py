"""`manage.py export_workflows`: workflows as files."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from workflows.bundles.exporting import export_workflows
from workflows.models import Workflow

# What a file's name may hold on every system; the rest becomes an underscore.
_UNSAFE = re.compile(r"[^\w.-]")


class Command(BaseCommand):
    help = (
        "Write workflows as YAML: to the standard output, as one document each, or with --output "
        "as a file each. The same drafts always give the same text."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--project", help="only workflows of this project")
        parser.add_argument(
            "--workflow", action="append", metavar="NAME", help="only this one; may be repeated"
        )
        parser.add_argument(
            "--output", type=Path, metavar="DIR", help="a folder for PROJECT/WORKFLOW.yaml"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        workflows = Workflow.objects.select_related("project").order_by("project__name", "name")
        if options["project"]:
            workflows = workflows.filter(project__name=options["project"])
        if options["workflow"]:
            workflows = workflows.filter(name__in=options["workflow"])
        chosen = list(workflows)
        missing = set(options["workflow"] or ()) - {workflow.name for workflow in chosen}
        if missing or not chosen:
            names = ", ".join(sorted(missing)) or "of this description"
            self.stderr.write(f"There is no workflow {names}.")
            sys.exit(2)
        texts = export_workflows([workflow.pk for workflow in chosen], actor=None)
        if options["output"] is None:
            self.stdout.write("---\n".join(texts[workflow.pk] for workflow in chosen), ending="")
            return
        taken: set[Path] = set()
        for workflow in chosen:
            path = _path(options["output"], workflow)
            if path in taken:  # two names that differ only in what file names leave out
                path = path.with_stem(f"{path.stem}-{workflow.pk}")
            taken.add(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(texts[workflow.pk], encoding="utf-8", newline="\n")
            self.stdout.write(str(path))


def _path(folder: Path, workflow: Workflow) -> Path:
    return folder / _safe(workflow.project.name) / f"{_safe(workflow.name)}.yaml"


def _safe(name: str) -> str:
    return _UNSAFE.sub("_", name).lstrip(".") or "_"
