"""`ptq`: the group of commands, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import errno
import importlib
import os
import sys
import traceback

import click

from ptq_cli import lazy_imports, signals
from ptq_cli.terminal import conversation, echo, echo_bug, echo_error, echo_refusal, log
from ptq_core.errors import DeviceError, InputError, PtqError, cut
from ptq_core.version import VERSION

COMMANDS = {
    "quantize": "quantize",
    "opt": "opt",
    "bench": "bench",
    "eval": "eval_command",
    "show": "show",
    "analyze": "analyze",
}
"""Command, which is its module in this room → its name there."""


class Commands(click.Group):
    """Commands that are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names, sorted as click does."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command ``cmd_name``; None if there is none."""
        return load_command(cmd_name) if cmd_name in COMMANDS else None


def load_command(name: str) -> click.Command:
    """The command ``name``, one of `COMMANDS`."""
    lazy_imports.install()
    made = getattr(importlib.import_module(f"ptq_cli.{name}"), COMMANDS[name])
    assert isinstance(made, click.Command)
    return made


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(VERSION, prog_name="ptq")
def app() -> None:
    """From a trained FP32 ONNX vision model and a few hundred pictures to a small, fast INT8 model.

    \b
    ptq quantize   FP32 ONNX + pictures  ->  INT8 ONNX (QDQ)
    ptq opt        FP32 or INT8 ONNX     ->  flat file .nb for the runtime
    ptq bench      FP32 .nb + INT8 .nb   ->  latency side by side
    ptq eval       .onnx or .nb + labels ->  top-1 and top-5
    ptq show       .onnx, .nb, cache     ->  what is inside
    ptq analyze    as ptq quantize       ->  which operators cost accuracy, and what to leave in float

    Exit codes: 0 done, 2 wrong input, 3 device or environment, 4 a missed target, 1 a bug of ours. --debug shows tracebacks.
    """


def main() -> None:
    """Run the command, turn errors into one message on stderr and an exit code."""
    signals.raise_interrupts()
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    code = run(arguments, debug=debug)
    _give_up_stdout()
    signals.pass_over()
    sys.exit(code)


def _give_up_stdout() -> None:
    """What stdout did not take, older Pythons (3.11.2) try to write again at their end, and exit with 120: it goes nowhere."""
    if sys.stdout is None:  # closed by whoever started us
        return
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run(arguments: list[str], *, debug: bool = False) -> int:
    """Run ``ptq`` with ``arguments``; returns the exit code."""
    try:
        with conversation():
            code = _run(arguments, debug)
            log("end", exit_code=code)
            return code
    except MemoryError:  # there is not even enough for the message
        os.write(2, b"error: memory ran out\n")
        return DeviceError.exit_code


def _run(arguments: list[str], debug: bool) -> int:
    try:
        result = app.main(args=arguments, prog_name="ptq", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except PtqError as error:
        if debug:
            _print_traceback()
        return _say(error)
    except click.ClickException as error:
        echo_refusal(error)
        return 2
    except (click.Abort, KeyboardInterrupt):
        echo(signals.STOPPED, err=True)
        return signals.exit_code()
    except SystemExit:  # click's way to say so; it also keeps Python from complaining at its end
        return signals.READER_GONE
    except Exception as error:
        if debug:
            _print_traceback()
        lacking = _of_system(error)
        if lacking is not None:
            return _say(lacking)
        echo_bug(error)
        return 1


def _say(error: PtqError) -> int:
    echo_error(error)
    return error.exit_code


_OF_A_NAME = {errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM}
"""Where the system refuses the path that it was given, and not what is to be done there."""


_NO_MEMORY = ("can't start new thread", "failed to map segment", "annot allocate memory")
"""How Python (RuntimeError) and the loader of libraries (ImportError) say it."""


def _of_system(error: Exception) -> PtqError | None:
    """What the system lacks or refuses, where that is what ``error`` says."""
    if isinstance(error, OSError):
        return _refused_by_system(error)
    if isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY):
        return DeviceError(
            f"memory ran out{f': {error}' if str(error) else ''}",
            rule="the model, a batch and the pictures in work must fit",
            fix="choose a smaller size or batch, or raise the limit of memory",
        )
    return None


def _refused_by_system(error: OSError) -> PtqError:
    about = f"{cut(str(error.filename))}: " if error.filename is not None else ""
    problem = f"{about}{error.strerror or error}"
    if error.errno in _OF_A_NAME:
        return InputError(problem, rule="paths are those that the system takes", fix="check the path")
    return DeviceError(
        problem,
        rule="files and standard output must take what is written, and the system have room for it",
        fix="see what the system lacks: space, memory, open files",
    )


def _print_traceback() -> None:
    echo(*traceback.format_exc().split("\n"), err=True)
