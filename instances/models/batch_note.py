"""The note that something changed in a batch."""

from __future__ import annotations

from django.db import models

from instances.models.batch import Batch


class BatchNote(models.Model):
    """Instances of the batch ended, or wait again after they had ended; or all of it was made.

    Written with the change, for whoever keeps what stands above the batch true (the state of its
    plan): they take the notes away, and look. Notes are only added and taken away, so that nobody
    waits for anybody: there may be several of a batch. None means that what was settled holds.
    """

    # On the way of every instance of a batch: no constraint, which would lock the batch's row each
    # time, and no index, as the table is read as a whole.
    batch = models.ForeignKey(
        Batch, on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )

    def __str__(self) -> str:
        return str(self.batch)
