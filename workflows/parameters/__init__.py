"""Parameters of tasks: date expressions, built-ins, and their way into code (T13)."""

from __future__ import annotations
