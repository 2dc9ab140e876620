"""The REST API of instances."""

from __future__ import annotations
