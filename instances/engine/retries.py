"""When a failed execution is tried again: a pure decision (T13, I14)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from instances.error_codes import ErrorCode
from instances.error_codes.explanations import explain

# The worker could not go on, not the task: these start again and use up no retry.
WORKER_LOSSES = frozenset({ErrorCode.WORKER_LOST, ErrorCode.WORKER_EXHAUSTED})
WORKER_GONE = WORKER_LOSSES | {ErrorCode.WORKER_STOPPED}
# But a task may be what kills its workers.
LOST_LIMIT = 5
# Several processes of a machine run out of means together: each would take it and lose it at once.
EXHAUSTED_WAIT = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how soon: intervals in seconds, multiplied by `backoff` each time."""

    limit: int
    interval: float
    backoff: float = 1.0
    max_interval: float | None = None

    def delay(self, retry: int) -> timedelta:
        """Return the wait before retry number `retry` (1 is the first)."""
        # Past this exponent any factor above 1 has reached the longest wait there is.
        seconds = self.interval * self.backoff ** min(retry - 1, 64)
        ceiling = self.max_interval if self.max_interval is not None else 86_400.0
        return timedelta(seconds=min(seconds, max(ceiling, self.interval)))


def retry_at(
    policy: RetryPolicy,
    *,
    error_code: str,
    retries_so_far: int,
    losses_so_far: int,
    now: datetime,
) -> datetime | None:
    """Return when to try again, or None when the instance is to be given up."""
    if error_code == ErrorCode.WORKER_STOPPED:  # in order: that was not the task's doing
        return now
    if error_code in WORKER_LOSSES:
        wait = EXHAUSTED_WAIT if error_code == ErrorCode.WORKER_EXHAUSTED else timedelta()
        return now + wait if losses_so_far < LOST_LIMIT else None
    if retries_so_far >= policy.limit or not explain(error_code).retryable:
        return None
    return now + policy.delay(retries_so_far + 1)
