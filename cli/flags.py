"""How every command declares its flags: groups of options, shown under their headings in the help.

A flag has - or _ in its name, a switch is given alone or with a value, and every default is shown. ptq_core knows
parameters, not flags: its messages are translated here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ptq_cli.terminal import echo, log, report, speak
from ptq_core.errors import InputError, PtqError
from ptq_core.files import STDOUT
from ptq_core.version import VERSION

CONTEXT = {
    "help_option_names": ["-h", "--help"],
    "max_content_width": 100,
    "token_normalize_func": lambda token: token.replace("_", "-"),
}
"""For every command: `--model_dir` is `--model-dir`."""

BOOLEANS = ("true", "false", "t", "f", "yes", "no", "y", "n", "on", "off", "1", "0")
"""What a switch takes as its value."""

NAME_COLUMNS = 32
"""The help's first column is at most this wide."""


@dataclass(frozen=True)
class Group:
    """Parameters under a heading, those that users need most often first. Arguments stand in the help's first line only."""

    heading: str
    options: tuple[click.Parameter, ...]


def group(heading: str, *options: click.Parameter) -> Group:
    """``options`` under ``heading``."""
    return Group(heading, options)


def option(*names: str, help: str = "", default: Any = None, **settings: Any) -> click.Option:
    """A flag with a value. Without ``default`` it may be left out; what then happens is for ``help`` to say."""
    return click.Option(names, help=help + default_words(default), default=default, **settings)


class FileName(click.Path):
    """A file or folder. `-` is standard output where ``allow_dash``, and refused elsewhere: nothing is called so by intent."""

    def __init__(self, *, allow_dash: bool = False, path_type: type = Path) -> None:
        super().__init__(path_type=path_type, allow_dash=allow_dash)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path, as ``path_type``. Raises InputError."""
        if str(value) == str(STDOUT):
            if self.allow_dash:
                return STDOUT
            raise InputError(
                f"{param.opts[-1] if param else 'the path'} -",
                rule="standard input and output do not serve here: it takes the name of a file or folder",
                fix="name one; ./- is one that is really called so",
            )
        found = super().convert(value, param, ctx)
        return found.absolute() if found == STDOUT else found  # ./- is a file


def path(*names: str, metavar: str = "FILE", **settings: Any) -> click.Option:
    """... that names a file or folder."""
    return option(*names, type=FileName(), metavar=metavar, **settings)


def output(*names: str, help: str) -> click.Option:
    """... that names a file for a text, or as `-` standard output; the command then prints with `printer`."""
    return option(*names, type=FileName(allow_dash=True), metavar="FILE", help=f"{help}; - for stdout")


def printer(outputs: Iterable[Path | None]) -> Callable[..., None]:
    """`report` on standard output, unless one of ``outputs`` goes there, then on standard error.

    Raises InputError if two of them go there.
    """
    there = sum(each == STDOUT for each in outputs)
    if there > 1:
        raise InputError(
            f"- is given to {there} flags",
            rule="standard output takes one text",
            fix="write the others to files",
        )
    return partial(report, err=there > 0)


class Switch(click.types.BoolParamType):
    """On or off; ``words`` are those that it takes as its value."""

    words: tuple[str, ...] = BOOLEANS


class ToStdout(Switch):
    """... of what is written to standard output: `-`, which other commands take for it, is on."""

    words = (*BOOLEANS, str(STDOUT))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """True or False."""
        return True if value == str(STDOUT) else super().convert(value, param, ctx)


def switch(
    *names: str, help: str, default: bool = False, type: Switch | None = None, **settings: Any
) -> click.Option:
    """A flag that can be given alone or with a value: ``--flag``, ``--flag=true``, ``--flag=false``."""
    return option(
        *names,
        help=help,
        default=default,
        type=type or Switch(),
        is_flag=False,
        flag_value=True,
        metavar="[BOOL]",
        **settings,
    )


def _spoken(name: str, help: str) -> click.Option:
    """A switch of every command that says how it speaks; the command itself does not see it."""

    def choose(_: click.Context, parameter: click.Parameter, value: bool) -> None:
        speak(**{str(parameter.name): value})

    return switch(name, help=help, expose_value=False, is_eager=True, callback=choose)


def default_words(value: Any) -> str:
    """What the help says of a default: ` [default: 1,2]`, as it is typed; nothing of None and of an empty list."""
    return "" if value in (None, ()) else f" [default: {_typed(value)}]"


def _typed(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_typed, value))
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


SPOKEN = group(
    "What is said",
    _spoken("--quiet", "no report, notes and progress: what goes wrong, warnings, and what was asked for"),
    _spoken("--log-json", "standard error for machines: progress and messages as one JSON object per line"),
)
"""Of every command."""


def _asks_for_json(args: Sequence[str]) -> bool:
    """Whether ``args``, which click has not parsed, want errors for machines; the last word on it holds, as with click."""
    asked = False
    for word, after in pairwise((*args, "")):
        name, _, value = word.replace("_", "-").partition("=")
        if name == "--log-json":
            given = value or (after if after.lower() in BOOLEANS else "true")
            asked = given.lower() in ("true", "t", "yes", "y", "on", "1")
    return asked


class Command(click.Command):
    """A command whose parameters lie in ``groups``; made by `command`.

    With ``help_if_bare`` it prints its help, and ends with exit code 0, where no arguments are given.
    """

    def __init__(
        self, *arguments: Any, groups: tuple[Group, ...], help_if_bare: bool = False, **settings: Any
    ) -> None:
        super().__init__(*arguments, **settings)
        self.groups, self.help_if_bare = groups, help_if_bare

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Help where there is nothing to parse. A file name behind a switch is never taken for the switch's value."""
        if self.help_if_bare and not args:
            echo(*ctx.get_help().split("\n"))
            ctx.exit()
        # What click refuses is told before it has looked at the flags.
        speak(log_json=_asks_for_json(args))
        if any(isinstance(parameter, click.Argument) for parameter in self.params):
            words = self._switches()
            args = [
                f"{word}=true" if word in words and after.lower() not in words[word] else word
                for word, after in zip(args, [*args[1:], ""], strict=True)
            ]
        return super().parse_args(ctx, args)

    def _switches(self) -> dict[str, tuple[str, ...]]:
        """Switch → what it takes as its value."""
        return {
            name: each.type.words
            for each in self.params
            if isinstance(each.type, Switch)
            for name in each.opts
        }

    def invoke(self, ctx: click.Context) -> Any:
        """Run; errors that name parameters name flags instead."""
        log("begin", command=ctx.info_name, version=VERSION)
        try:
            return super().invoke(ctx)
        except PtqError as error:
            error.reword(self.in_flags)
            raise

    def in_flags(self, text: str) -> str:
        """``text`` of ptq_core with `name=value` as `--flag value`, where ``name`` is a parameter of this command.

        `name=False` is `--no-name`, where there is such a flag.
        """
        flags = {each.name: each.opts[-1] for each in self.params if isinstance(each, click.Option)}

        def flag(match: re.Match[str]) -> str:
            name, value = match.groups()
            if value == "False" and f"no_{name}" in flags:
                return flags[f"no_{name}"]
            return f"{flags[name]} {value}".rstrip() if name in flags else match[0]

        return re.sub(r"`(\w+)=([^`]*)`", flag, text)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One section per group, and one for the help itself."""
        help_option = self.get_help_option(ctx)
        others = Group("Other", () if help_option is None else (help_option,))
        for part in (*self.groups, others):
            shown = (parameter for parameter in part.options if isinstance(parameter, click.Option))
            records = [record for each in shown if (record := each.get_help_record(ctx))]
            if records:
                with formatter.section(part.heading):
                    formatter.write_dl(records, col_max=NAME_COLUMNS)


def command(
    *groups: Group, name: str | None = None, help_if_bare: bool = False
) -> Callable[[Callable[..., Any]], Command]:
    """Decorator: a function that takes what ``groups`` give, by their names, as a command; its docstring is the help."""
    return click.command(
        name,
        cls=Command,
        params=[parameter for group in (*groups, SPOKEN) for parameter in group.options],
        context_settings=CONTEXT,
        groups=(*groups, SPOKEN),
        help_if_bare=help_if_bare,
    )


def given_flags() -> dict[str, str]:
    """Parameter → flag of what stands on the command line of the command that runs."""
    context = click.get_current_context()
    return {
        parameter.name: parameter.opts[0]
        for parameter in context.command.params
        if parameter.name
        and parameter.expose_value
        and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    }
