"""`manage.py cleanup_instances`: delete what projects keep no longer."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from instances.retention.instances import REST, count_expired, delete_expired
from projects.ground import clock


class Command(BaseCommand):
    """Counts or deletes, and says what went."""

    help = (
        "Delete finished instances, with their edges, executions and logs, that ended longer ago "
        "than their project keeps them. What unfinished instances wait for stays. Runs in short "
        "transactions beside the work of the day, and may be stopped at any time."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--dry-run", action="store_true", help="count what is expired, and delete nothing"
        )
        parser.add_argument(
            "--rest",
            type=float,
            default=REST,
            metavar="TIMES",
            help=f"seconds to rest after each second of work ({REST:g}); 0 goes at full speed",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["dry_run"]:
            expired = count_expired(clock.now())
            for project, count in expired.items():
                self.stdout.write(f"{project}: {count:,} instances are expired")
            self.stdout.write(f"{sum(expired.values()):,} instances would be looked at.")
            return
        deleted = delete_expired(clock.now(), rest=options["rest"])
        self.stdout.write(
            f"Deleted {deleted.instances:,} instances, {deleted.edges:,} edges,"
            f" {deleted.executions:,} executions, {deleted.log_chunks:,} pieces of logs;"
            f" the longest transaction took {deleted.longest_batch * 1000:.0f} ms."
        )
