"""The `ptq` command before the first import that takes time: whoever stops it then sees one line, not a traceback."""

from __future__ import annotations

from ptq_cli import signals


def main() -> None:
    """Entry point: run the command and exit."""
    signals.install(signals.end)
    from ptq_cli.main import main as run

    run()
