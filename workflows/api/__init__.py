"""The REST API of workflows."""

from __future__ import annotations
