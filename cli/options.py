"""Habits that all commands share: - or _ in flag names, booleans with or without a value, comma lists, sizes in words,
tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from ptq_core.errors import InputError

Shape = tuple[int, ...]

F = TypeVar("F", bound=Callable[..., Any])

CONTEXT = {
    "help_option_names": ["-h", "--help"],
    "max_content_width": 100,
    "token_normalize_func": lambda token: token.replace("_", "-"),
}
"""For every command: `--model_dir` is `--model-dir`."""


class GroupedOption(click.Option):
    """An option that `GroupedCommand` shows under the heading ``group``."""

    def __init__(self, *arguments: Any, group: str = "Other", **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.group = group


class GroupedCommand(click.Command):
    """A command whose help has headings, in the order in which they are first used; without arguments it prints its help."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Help, and exit code 0, where there is nothing to parse."""
        if not args:
            click.echo(ctx.get_help())
            ctx.exit()
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One section per group."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                groups.setdefault(getattr(parameter, "group", "Other"), []).append(record)
        for heading, records in groups.items():
            with formatter.section(heading):
                formatter.write_dl(records, col_max=32)


def grouped_option(group: str, *names: str, **settings: Any) -> Callable[[F], F]:
    """An option under the heading ``group``."""
    return click.option(*names, cls=GroupedOption, group=group, **settings)


def path_option(group: str, *names: str, metavar: str = "FILE", **settings: Any) -> Callable[[F], F]:
    """... that names a file or folder."""
    return grouped_option(group, *names, type=click.Path(path_type=Path), metavar=metavar, **settings)


def boolean_option(
    name: str, help_text: str, *, default: bool | None = False, group: str = "Other"
) -> Callable[[F], F]:
    """A flag that can be given alone or with a value: ``--flag``, ``--flag=true``, ``--flag=false``."""
    return grouped_option(
        group,
        name,
        type=bool,
        is_flag=False,
        flag_value=True,
        default=default,
        show_default=bool(default),
        help=help_text,
        metavar="[BOOL]",
    )


def given_flags() -> dict[str, str]:
    """Parameter → flag of what stands on the command line of the command that runs."""
    context = click.get_current_context()
    return {
        parameter.name: parameter.opts[0]
        for parameter in context.command.params
        if parameter.name and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    }


def parse_shapes(texts: Sequence[str]) -> tuple[Shape, ...] | dict[str, Shape] | None:
    """``1,3,224,224``, several ``1,3,224,224:1,5`` in the inputs' order, or ``NAME:1,3,224,224`` per input.

    None for no text. Raises InputError for anything else.
    """
    if not texts:
        return None
    listed: list[Shape] = []
    named: dict[str, Shape] = {}
    for text in texts:
        shapes = [_shape(part) for part in text.split(":")]
        if all(shapes):
            listed += [shape for shape in shapes if shape]
            continue
        name, _, last = text.rpartition(":")
        shape = _shape(last)
        if not name or shape is None:
            raise InputError(
                f"input shape `{text}`",
                rule="a shape is whole numbers from 1 separated by commas, after `NAME:` for one of several inputs",
                fix="e.g. 1,3,224,224 or image:1,3,224,224",
            )
        named[name] = shape
    if listed and named:
        raise InputError(
            f"input shapes {' '.join(texts)}",
            rule="either all shapes have a name or none",
            fix="write NAME:SHAPE for every input",
        )
    return named or tuple(listed)


def _shape(text: str) -> Shape | None:
    parts = [part.strip() for part in text.strip("[] ").split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        return None
    return tuple(int(part) for part in parts)


def size_text(size_bytes: int) -> str:
    """Bytes in words: ``412 B``, ``3.1 KB``, ``4.2 MB`` (powers of 1000, as file managers and phones count)."""
    value, unit = float(size_bytes), "B"
    for larger in ("KB", "MB", "GB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} B" if unit == "B" else f"{value:.2f} {unit}"


def table(rows: Sequence[Sequence[str]], *, left: int = 1) -> Iterator[str]:
    """Rows of equal length as aligned lines: the ``left`` first columns to the left, the others (numbers) to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()
