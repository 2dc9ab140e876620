"""Whether a slot without an instance is waited for: what its task owes (design §6). Pure."""

from __future__ import annotations

from datetime import datetime


def is_owed(
    scheduled_at: datetime,
    *,
    scheduling_since: datetime | None,
    scheduling_until: datetime | None,
    generated_until: datetime | None,
    latest_only: bool,
    kept_since: datetime,
) -> bool:
    """Return True when who depends on the slot waits for it although there is no instance.

    The instants and `latest_only` (its catch-up) are the upstream task's; kept_since: instances of
    its project that ended before may have been deleted.

    A slot before the task began to be scheduled was never owed, nor is one after it was taken
    offline; one that a task with catch-up "latest" has passed over will not come, and of one that
    is older than instances are kept nobody can tell any more whether it was filled. What a paused
    task left out lately is owed: it blocks, visibly, until somebody fills it or removes the
    dependency.
    """
    if scheduling_since is None or scheduled_at <= scheduling_since:
        return False
    if scheduling_until is not None and scheduled_at > scheduling_until:
        return False
    if generated_until is None or scheduled_at > generated_until:
        return True
    return not latest_only and scheduled_at >= kept_since
