"""Folders over the API."""

from __future__ import annotations

from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from projects.api.idempotency import KEY_PARAMETER, idempotent
from projects.api.scoped import ListRead
from workflows.api.answers import FolderAnswer
from workflows.api.bodies import FolderChanges, NewFolder
from workflows.filters import FolderFilter
from workflows.folders import create_folder, delete_folder, move_folder, rename_folder
from workflows.models import Folder


class FolderViewSet(ListRead):
    """The folders of the user's projects."""

    noun, nouns = "folder", "folders"
    queryset = Folder.objects.all()
    serializer_class = FolderAnswer
    filterset_class = FolderFilter
    ordering_fields = {"id": ("id",), "path": ("path",)}
    ordering = "path"

    @extend_schema(request=NewFolder, responses={201: FolderAnswer}, parameters=[KEY_PARAMETER])
    @idempotent
    def create(self, request: Request) -> Response:
        """Make a folder."""
        body = self.body(NewFolder)
        folder = create_folder(
            actor=request.user,
            project_id=body["project"],
            name=body["name"],
            parent_id=body.get("parent"),
        )
        return self.answer(folder, status=status.HTTP_201_CREATED)

    @extend_schema(request=FolderChanges, responses=FolderAnswer)
    @transaction.atomic
    def partial_update(self, request: Request, pk: str) -> Response:
        """Rename or move a folder, with all that is in it."""
        body = self.body(FolderChanges)
        folder = self.get_object()
        if "parent" in body:
            move_folder(actor=request.user, folder_id=folder.pk, parent_id=body["parent"])
        if "name" in body:
            rename_folder(actor=request.user, folder_id=folder.pk, name=body["name"])
        return self.answer(folder)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete an empty folder."""
        delete_folder(actor=request.user, folder_id=self.pk)
        return Response(status=status.HTTP_204_NO_CONTENT)
