"""Workflow files: workflows and their tasks as YAML, there and back without loss."""

from __future__ import annotations
