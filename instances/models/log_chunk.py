"""A piece of an execution's log."""

from __future__ import annotations

from django.db import models

from instances.models.execution import Execution


class LogChunk(models.Model):
    """UTF-8 text, in order of `sequence`; zlib-compressed when the execution has ended."""

    execution = models.ForeignKey(
        Execution, on_delete=models.CASCADE, related_name="log_chunks", db_index=False
    )
    sequence = models.PositiveIntegerField()
    content = models.BinaryField()
    compressed = models.BooleanField(default=False)
    size = models.PositiveIntegerField(help_text="Bytes of the text before compression.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["execution_id", "sequence"]
        constraints = [
            models.UniqueConstraint(fields=["execution", "sequence"], name="log_chunk_in_order"),
        ]

    def __str__(self) -> str:
        return f"{self.execution_id}/{self.sequence}"
