"""The `ptq` command before the first import that takes time: whoever stops it then sees one line, not a traceback."""

from __future__ import annotations

import errno
import os

from ptq_cli import signals


def main() -> None:
    """Entry point: run the command and exit."""
    signals.install(signals.end)
    _open_standard_streams()
    from ptq_cli.main import main as run

    run()


def _open_standard_streams() -> None:
    """Let none of 0, 1, 2 be free: a model that is written there would get what libraries and child processes print."""
    try:
        taken = os.open(os.devnull, os.O_RDWR)
        while taken <= 2:
            taken = os.dup(taken)
        os.close(taken)
    except OSError as error:
        if error.errno != errno.EMFILE:  # no descriptor is left: then none of the three is free either
            raise
