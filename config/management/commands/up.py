"""`manage.py up`: the whole product in one process."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.embedded.postgres_placement import EmbeddedPostgresError
from config.embedded.up import serve
from config.embedded.web_server import PortUnavailable
from config.embedded.workers import BrokerUnreachable


class Command(BaseCommand):
    """Parses the address and serves."""

    help = (
        "Start everything in one process: database, web server, workers and timetable. "
        "DATABASE_URL and BROKER_URL replace the embedded database and broker, TIDEMILL_DATA "
        "moves the data directory. Exit codes: 0 stopped, 1 could not start, 2 port in use."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=os.environ.get("HOST") or "127.0.0.1")
        parser.add_argument("--port", type=int, default=os.environ.get("PORT") or 8000)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            sys.exit(serve(host=options["host"], port=options["port"], output=self.stdout))
        except PortUnavailable as error:
            raise CommandError(str(error), returncode=2) from error
        except (EmbeddedPostgresError, BrokerUnreachable) as error:
            raise CommandError(str(error)) from error
