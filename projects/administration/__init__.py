"""What administrators set up: projects, members, resource groups, data sources."""

from __future__ import annotations
