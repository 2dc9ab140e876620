"""The REST API of backfill."""

from __future__ import annotations
