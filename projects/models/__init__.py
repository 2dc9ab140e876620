"""The models of projects."""

from __future__ import annotations

from projects.models.data_source import DataSource
from projects.models.idempotency_key import IdempotencyKey
from projects.models.member import Member
from projects.models.operation import Operation, OperationObject, OperationPart
from projects.models.project import Project
from projects.models.resource_group import ResourceGroup

__all__ = [
    "DataSource",
    "IdempotencyKey",
    "Member",
    "Operation",
    "OperationObject",
    "OperationPart",
    "Project",
    "ResourceGroup",
]
