"""`manage.py cleanup_operations`: delete records of operations that nobody needs any more."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from projects.administration.retention import forget_operations
from projects.ground import clock
from projects.models import Operation

SHORTEST_DAYS = 30


class Command(BaseCommand):
    """Counts or deletes, and says what went."""

    help = (
        "Delete the records of operations that are older than so many days. Nothing else deletes "
        "them, and the database refuses to change them. Runs in short transactions."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--days", type=int, required=True, help="how old; 30 at least")
        parser.add_argument(
            "--dry-run", action="store_true", help="count what is that old, and delete nothing"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["days"] < SHORTEST_DAYS:
            raise CommandError(f"The record of the last {SHORTEST_DAYS} days is kept.")
        before = clock.now() - timedelta(days=options["days"])
        if options["dry_run"]:
            number = Operation.objects.filter(created_at__lt=before).count()
            self.stdout.write(f"{number:,} records of operations would be deleted.")
            return
        self.stdout.write(f"Deleted {forget_operations(before):,} records of operations.")
