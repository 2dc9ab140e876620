"""Folders over the API."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from projects.rest.idempotency import KEY_PARAMETER, idempotent
from projects.rest.scoped import ListRead
from workflows.api.answers import FolderAnswer
from workflows.api.bodies import FolderPatch, NewFolder
from workflows.editing.folders import (
    FolderChanges,
    create_folder,
    delete_folder,
    update_folder,
)
from workflows.filters import FolderFilter
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

    @extend_schema(request=FolderPatch, responses=FolderAnswer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Rename or move a folder, with all that is in it."""
        body = self.body(FolderPatch)
        changes = FolderChanges()
        if "parent" in body:
            changes["parent_id"] = body["parent"]
        if "name" in body:
            changes["name"] = body["name"]
        folder = update_folder(
            actor=request.user,
            folder_id=self.get_object().pk,
            changes=changes,
            revision=body.get("revision"),
        )
        return self.answer(folder)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete an empty folder."""
        delete_folder(actor=request.user, folder_id=self.pk)
        return Response(status=status.HTTP_204_NO_CONTENT)
