"""A function that runs in a process of its own, on the second core, while this process works on something else."""

import os
import pickle
import select
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Generic, NoReturn, TypeVar

T = TypeVar("T")


class OtherProcess(Generic[T]):
    """Process that calls a function, forked at once; it ends with the block, and with this process.

    Args:
        function: the function. It sees the data of this process as they are now; its result is pickled.
    """

    def __init__(self, function: Callable[[], T]) -> None:
        result, its_result = os.pipe()
        its_lifeline, self._lifeline = os.pipe()  # closed when this process ends, whatever ends it
        sys.stdout.flush()
        sys.stderr.flush()
        self._process = os.fork()
        if not self._process:
            os.close(result)
            os.close(self._lifeline)
            _work(function, its_result, its_lifeline)
        os.close(its_result)
        os.close(its_lifeline)
        self._result = open(result, "rb")  # noqa: SIM115, closed with the block

    def __enter__(self) -> "OtherProcess[T]":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # Where SIGCHLD is ignored, as under some supervisors, a process that has ended is gone already.
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(self._process, signal.SIGKILL)  # it has ended, unless this block is left before the result
            os.waitpid(self._process, 0)
        os.close(self._lifeline)
        self._result.close()

    def is_done(self) -> bool:
        """Return whether the function has returned, or the process was killed."""
        return bool(select.select([self._result], [], [], 0)[0])

    def result(self) -> T:
        """Wait for the function, and return what it returned.

        Raises:
            Exception: the function raised it.
            KeyboardInterrupt: the process was interrupted.
            ChildProcessError: the process was killed.
        """
        try:
            value, error = pickle.load(self._result)
        except (EOFError, pickle.UnpicklingError):
            raise ChildProcessError(
                "the process that reads the events was killed, perhaps because memory ran out; run it again"
            ) from None
        if error is not None:
            raise error
        return value


def _work(function: Callable[[], Any], result: int, lifeline: int) -> NoReturn:
    """Send (value, None) or (None, error) to the other process, and end this one."""
    try:
        with suppress(RuntimeError):  # without memory for a thread, this process ends with its work
            threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
        try:
            outcome = function(), None
        except (Exception, KeyboardInterrupt) as error:
            error.add_note(traceback.format_exc())
            outcome = None, _sendable(error)
        with open(result, "wb") as pipe:
            pickle.dump(outcome, pipe, protocol=pickle.HIGHEST_PROTOCOL)
    finally:
        sys.stderr.flush()
        os._exit(0)


def _sendable(error: BaseException) -> BaseException:
    """Return an error, or one of a kind that pickles, with its text and its notes, where the error does not."""
    try:
        arrived = pickle.loads(pickle.dumps(error))
    except Exception:  # whatever the class of an error does when it is pickled or made again
        arrived = None
    if type(arrived) is type(error) and str(arrived) == str(error):
        return error
    kind = next((kind for kind in (ValueError, OSError, MemoryError) if isinstance(error, kind)), RuntimeError)
    plain = kind(str(error) if kind is not RuntimeError else f"{type(error).__name__}: {error}")
    plain.add_note("".join(error.__notes__))
    return plain


def _end_with(lifeline: int) -> None:
    """End this process when the other end of a pipe is closed."""
    os.read(lifeline, 1)
    os._exit(1)
