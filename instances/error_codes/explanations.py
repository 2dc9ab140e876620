"""What each error code means, and what to do about it (feature I12)."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from instances.error_codes import ErrorCode
from projects.ground.words import gettext_lazy


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a person reads about an error code.

    `retryable` says whether the same attempt may well succeed later without anybody changing
    anything; retries of what is not retryable only cost time.
    """

    title: str
    explanation: str
    likely_cause: str
    what_to_do: str
    retryable: bool = True


EXPLANATIONS: dict[ErrorCode, Explanation] = {
    ErrorCode.EXIT_NONZERO: Explanation(
        title=gettext_lazy("The process ended with an error"),
        explanation=gettext_lazy(
            "The task's process ended by itself with an exit code other than 0."
        ),
        likely_cause=gettext_lazy(
            "A command in the script failed. Shell scripts stop at the first one that "
            "does. Codes above 128 mean that a signal ended the command: 137 is 128 + 9 (killed)."
        ),
        what_to_do=gettext_lazy(
            "Read the last lines of the log, correct the code or its input, and rerun."
        ),
    ),
    ErrorCode.KILLED_BY_SIGNAL: Explanation(
        title=gettext_lazy("The process was killed"),
        explanation=gettext_lazy("A signal that Tidemill did not send ended the task's process."),
        likely_cause=gettext_lazy(
            "Signal 9 without anybody's doing is most often the system running out of "
            "memory; signal 11 is a crash in native code; signal 15 is somebody's kill command."
        ),
        what_to_do=gettext_lazy(
            "Look at the system's log of that minute; give the task less data or the "
            "worker more memory; rerun."
        ),
    ),
    ErrorCode.TIMEOUT: Explanation(
        title=gettext_lazy("The time limit was reached"),
        explanation=gettext_lazy(
            "The task ran longer than its time limit and was stopped, with all processes "
            "that it had started."
        ),
        likely_cause=gettext_lazy(
            "More data than usual, a slow or locked source, or a limit that is too low."
        ),
        what_to_do=gettext_lazy(
            "Compare the execution curve; raise the limit or find what the task waits for."
        ),
    ),
    ErrorCode.TERMINATED: Explanation(
        title=gettext_lazy("Terminated"),
        explanation=gettext_lazy(
            "The execution was stopped on request. Nothing of it runs any more."
        ),
        likely_cause=gettext_lazy("An operator terminated the instance or its plan."),
        what_to_do=gettext_lazy(
            "The operation record says who did it and when. Rerun it when that is wanted."
        ),
        retryable=False,
    ),
    ErrorCode.WORKER_LOST: Explanation(
        title=gettext_lazy("The worker was lost"),
        explanation=gettext_lazy(
            "The worker that ran this execution died or did not report in time. What was "
            "left of the execution was killed, and late results of it do not count."
        ),
        likely_cause=gettext_lazy(
            "The machine or the worker process was killed, restarted or cut off."
        ),
        what_to_do=gettext_lazy(
            "Nothing: it is retried by itself. If it happens often, look at the memory and "
            "the logs of that worker."
        ),
    ),
    ErrorCode.WORKER_STOPPED: Explanation(
        title=gettext_lazy("The worker was shut down"),
        explanation=gettext_lazy("The worker was stopped in order and handed this execution back."),
        likely_cause=gettext_lazy("A deployment, or an operator who stopped the worker."),
        what_to_do=gettext_lazy(
            "Nothing: it starts again on another worker or when this one is back."
        ),
    ),
    ErrorCode.WORKER_EXHAUSTED: Explanation(
        title=gettext_lazy("The worker had nothing left to run it with"),
        explanation=gettext_lazy(
            "The worker took this execution and then got no thread, process, file "
            "descriptor or memory for it. That is not the task's doing and uses up no retry."
        ),
        likely_cause=gettext_lazy(
            "A limit of the worker's unit or container (TasksMax, LimitNOFILE, memory) "
            "is too low for its room, or another task of that machine uses it up."
        ),
        what_to_do=gettext_lazy(
            "Nothing: it starts again, on another worker if there is one. If it happens "
            "often, raise the limit that the message names or lower EXECUTIONS_PER_PROCESS."
        ),
    ),
    ErrorCode.START_FAILED: Explanation(
        title=gettext_lazy("The process could not be started"),
        explanation=gettext_lazy("The operating system refused to start the task's process."),
        likely_cause=gettext_lazy(
            "The shell or program is not installed on the worker, a folder is missing, "
            "or its disk is full."
        ),
        what_to_do=gettext_lazy(
            "The message names what was refused. Correct it on the worker and rerun."
        ),
    ),
    ErrorCode.PYTHON_ERROR: Explanation(
        title=gettext_lazy("The Python code raised an error"),
        explanation=gettext_lazy("The code ended with an exception that it did not handle."),
        likely_cause=gettext_lazy("The traceback in the log names the line."),
        what_to_do=gettext_lazy("Correct the code or its input, submit, and rerun."),
    ),
    ErrorCode.SQL_ERROR: Explanation(
        title=gettext_lazy("A statement failed"),
        explanation=gettext_lazy(
            "The database refused a statement. Statements before it had already run; "
            "what they did stands, unless the script opened a transaction."
        ),
        likely_cause=gettext_lazy(
            "The message names the statement's number and line and the database's words."
        ),
        what_to_do=gettext_lazy("Correct the statement, submit, and rerun."),
    ),
    ErrorCode.DATA_SOURCE_ERROR: Explanation(
        title=gettext_lazy("The database could not be reached"),
        explanation=gettext_lazy("No connection to the task's data source could be made."),
        likely_cause=gettext_lazy(
            "The server is down or busy, the address or login is wrong, or another "
            "process has the database file open."
        ),
        what_to_do=gettext_lazy("Test the data source; correct its address or login; rerun."),
    ),
    ErrorCode.HTTP_ERROR: Explanation(
        title=gettext_lazy("The request failed"),
        explanation=gettext_lazy(
            "The server did not answer, or answered with a status that is not expected."
        ),
        likely_cause=gettext_lazy(
            "The service is down, the address is wrong or the login has expired."
        ),
        what_to_do=gettext_lazy("The log has the status, the headers and the start of the answer."),
    ),
    ErrorCode.HOST_NOT_ALLOWED: Explanation(
        title=gettext_lazy("The address is not allowed"),
        explanation=gettext_lazy(
            "The request, or a redirect that it was given, goes to a host that is not on "
            "the list of allowed hosts. It was not sent."
        ),
        likely_cause=gettext_lazy(
            "A new service that nobody has listed yet, or a misspelt address."
        ),
        what_to_do=gettext_lazy(
            "Ask an administrator to add the host that the message names, or correct it."
        ),
        retryable=False,
    ),
    ErrorCode.OUT_OF_MEMORY: Explanation(
        title=gettext_lazy("Out of memory"),
        explanation=gettext_lazy("The task asked for more memory than it may have."),
        likely_cause=gettext_lazy("More data than usual, or data that is read all at once."),
        what_to_do=gettext_lazy("Work in smaller pieces, or raise the task's memory limit."),
    ),
    ErrorCode.BAD_CONFIG: Explanation(
        title=gettext_lazy("The settings cannot be used"),
        explanation=gettext_lazy(
            "A setting of the task is missing or has a value that cannot be used."
        ),
        likely_cause=gettext_lazy("The message names the setting."),
        what_to_do=gettext_lazy("Correct the task, submit, and rerun with the new version."),
        retryable=False,
    ),
    ErrorCode.BAD_PARAMETERS: Explanation(
        title=gettext_lazy("A parameter could not be computed"),
        explanation=gettext_lazy(
            "An expression in the task's parameters has no value for this instance."
        ),
        likely_cause=gettext_lazy(
            "The message names the parameter and the place in its expression."
        ),
        what_to_do=gettext_lazy(
            "Correct the parameter (its preview shows the values for any date) and rerun."
        ),
        retryable=False,
    ),
    ErrorCode.UNKNOWN_TASK_TYPE: Explanation(
        title=gettext_lazy("No runner for this type of task"),
        explanation=gettext_lazy("This worker does not know how to run tasks of this type."),
        likely_cause=gettext_lazy(
            "The plugin that brings the type is not installed on the worker, or broken."
        ),
        what_to_do=gettext_lazy(
            "Install the plugin on every worker of the resource group and restart them."
        ),
    ),
    ErrorCode.UPSTREAM_DELETED: Explanation(
        title=gettext_lazy("An upstream task was deleted"),
        explanation=gettext_lazy(
            "A task that this one depends on was deleted, with the wish that everything "
            "downstream fails."
        ),
        likely_cause=gettext_lazy("The operation record of the deleted task names who did it."),
        what_to_do=gettext_lazy("Remove the dependency from the task, submit, and rerun."),
        retryable=False,
    ),
    ErrorCode.EVENT_TIMEOUT: Explanation(
        title=gettext_lazy("The event did not come in time"),
        explanation=gettext_lazy(
            "The instance waited for an event longer than the event's validity time."
        ),
        likely_cause=gettext_lazy("The system that fires the event is late or did not fire it."),
        what_to_do=gettext_lazy("Fire the event, then rerun; or rerun without regard to events."),
        retryable=False,
    ),
    ErrorCode.INTERNAL_ERROR: Explanation(
        title=gettext_lazy("Tidemill failed"),
        explanation=gettext_lazy("Tidemill itself failed while it drove this execution."),
        likely_cause=gettext_lazy("The worker's log has the details under the execution's id."),
        what_to_do=gettext_lazy("Rerun; report it if it happens again."),
    ),
}


def explain(code: str) -> Explanation:
    """The explanation of an error code; a code that a plugin made up gets a plain one."""
    try:
        return EXPLANATIONS[ErrorCode(code)]
    except ValueError:
        return Explanation(
            title=code.replace("_", " ").capitalize(),
            explanation=_("The task's runner reported this error."),
            likely_cause=_("The message and the log say more."),
            what_to_do=_("Read the log, correct what it names, and rerun."),
        )
