"""What a worker and its spawner say to each other.

A request is a header of fixed size over a Unix stream socket. A start carries file descriptors:

    status         the write end of the pipe on which the spawner tells how the process ended
    specification  a file with JSON: argv or target, environment, working directory, limits
    output         the write end of the pipe that becomes stdout and stderr
    payload        a file that the process finds as descriptor 3
    report         a file that the process may write to, as descriptor 4 (CALL only)

The specification travels as a file, not in the message, so that a message never blocks for its
size and the variables of one task never pass through the memory from which others are forked.

A task may have a lease, an instant of the wall clock. The worker renews it for as long as it holds
the execution. When it does not, because it hangs or the database is out of its reach, the task is
killed before somebody else may start it again.

The status is one line of JSON. A status pipe that closes without it means that the spawner died.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final


class Request(IntEnum):
    START_EXEC = 1  # value: the number of descriptors; followed by them
    START_CALL = 2
    KILL = 3  # value: seconds of grace
    RENEW = 4  # value: the new end of the lease


# request, key of the process (chosen by the worker, never reused), value, and with a start the end
# of the lease; ends of leases are seconds since the epoch, 0 for none
HEADER: Final = struct.Struct("!BQdd")
DESCRIPTORS: Final = 5

# Tags of one spawner are this many consecutive numbers: the key is the offset.
TAGS_PER_SPAWNER: Final = 1 << 32
FIRST_TAG: Final = 1 << 60  # as microseconds of real-time CPU use, 36,000 years

PAYLOAD_DESCRIPTOR: Final = 3
REPORT_DESCRIPTOR: Final = 4
MAX_REPORT_BYTES: Final = 64 * 1024

# The task is gone before its lease ends: this is the time for the kill.
LEASE_MARGIN_SECONDS: Final = 0.5

# A process that cannot be killed (stuck in the kernel, or root's) is given up after this.
GIVE_UP_SECONDS: Final = 3.0
