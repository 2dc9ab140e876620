"""The admin's ground: scoped pages, and the pages of projects and what belongs to them."""

from __future__ import annotations

from projects.admin import data_sources, operations, projects, tokens, users

__all__ = ["data_sources", "operations", "projects", "tokens", "users"]
