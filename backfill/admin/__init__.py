"""The admin of backfill plans."""

from __future__ import annotations

from backfill.admin import plans

__all__ = ["plans"]
