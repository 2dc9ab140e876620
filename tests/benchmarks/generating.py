"""A process that generates what is due until the instant that it is given, for P23."""

from __future__ import annotations

import sys
from datetime import datetime

import django
from django.db import connection

NAME = "p23_generation"

if __name__ == "__main__":
    django.setup()
    from instances.engine.generation import generate

    with connection.cursor() as cursor:
        cursor.execute("SET application_name = %s", [NAME])
    generate(now=datetime.fromisoformat(sys.argv[1]))
