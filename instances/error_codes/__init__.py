"""The error codes of executions (feature I12).

Tasks' own processes read this, without Django: what people are told is in `explanations`.
"""

from __future__ import annotations

from enum import StrEnum


class ErrorCode(StrEnum):
    """Why an execution, or an instance that never ran, ended as FAILED."""

    EXIT_NONZERO = "EXIT_NONZERO"  # the process ended by itself with another code than 0
    KILLED_BY_SIGNAL = "KILLED_BY_SIGNAL"  # a signal that was not ours ended the process
    TIMEOUT = "TIMEOUT"  # ran longer than the task's time limit
    TERMINATED = "TERMINATED"  # an operator, or a plan's end, stopped it
    WORKER_LOST = "WORKER_LOST"  # the worker or its spawner died, or lost its lease
    WORKER_STOPPED = "WORKER_STOPPED"  # the worker was shut down in order and gave the work back
    WORKER_EXHAUSTED = "WORKER_EXHAUSTED"  # no thread, process, descriptor or memory to run it
    START_FAILED = "START_FAILED"  # the process could not be started
    PYTHON_ERROR = "PYTHON_ERROR"  # Python code ended with an exception
    SQL_ERROR = "SQL_ERROR"  # a statement failed
    DATA_SOURCE_ERROR = "DATA_SOURCE_ERROR"  # the database could not be reached or opened
    HTTP_ERROR = "HTTP_ERROR"  # no answer, or an answer with an unexpected status
    HOST_NOT_ALLOWED = "HOST_NOT_ALLOWED"  # the address is not on the list of allowed hosts
    OUT_OF_MEMORY = "OUT_OF_MEMORY"  # the process asked for more memory than it may have
    BAD_CONFIG = "BAD_CONFIG"  # the task's settings or code cannot be used as they are
    BAD_PARAMETERS = "BAD_PARAMETERS"  # a parameter could not be computed for this date
    UNKNOWN_TASK_TYPE = "UNKNOWN_TASK_TYPE"  # no runner on this worker for the task's type
    UPSTREAM_DELETED = "UPSTREAM_DELETED"  # an upstream task was deleted "downstream fails"
    EVENT_TIMEOUT = "EVENT_TIMEOUT"  # the awaited event did not come in its validity time
    INTERNAL_ERROR = "INTERNAL_ERROR"  # Tidemill itself failed while it drove the execution
