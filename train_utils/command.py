"""How a command ends: a user's error is one line, and a reader that leaves early is no error. Standard library only."""

import os
import sys
from collections.abc import Callable


def run_cli(main: Callable[[], int | None]) -> None:
    """Runs an entry script and ends the process.

    The status is what `main` returns, 2 for a user's error, which is told in one line, and 130 for an interrupt. Where
    the reader of a pipe has left, nothing is said: what the command writes into files is written.
    """
    status: int | None = 0
    try:
        status = main()
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = 130
    except BrokenPipeError:
        # Python would complain once more when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ValueError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        status = 2
    sys.exit(status)
