"""The flags of `ptq bench`, in groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ptq_cli.options import grouped_option, path_option

MODELS, WHERE, HOW, RESULTS, SAVED = (
    "Models",
    "Where",
    "How",
    "Results",
    "What was measured before (nothing is measured)",
)


def _number(group: str, name: str, metavar: str, help_text: str, **settings: Any) -> Callable[[Any], Any]:
    shown = settings.get("default") is not None
    return grouped_option(group, name, metavar=metavar, help=help_text, show_default=shown, **settings)


OPTIONS: tuple[Callable[[Any], Any], ...] = (
    path_option(MODELS, "--fp32", help="FP32 model: .nb, or .onnx, which is optimized first"),
    path_option(MODELS, "--int8", help="INT8 model: .nb, or .onnx. With both, the speed-up is shown"),
    grouped_option(
        WHERE,
        "--device",
        default="auto",
        show_default=True,
        metavar="NAME[,NAME...]",
        help="auto: the phone on adb, else this machine; local: this machine; all: every phone; a phone's serial;"
        " qemu:CPU, e.g. qemu:cortex-a76, for outputs but not for times. Several are measured at once",
    ),
    grouped_option(
        WHERE,
        "--adb",
        metavar="PATH",
        help="the adb program [default: $ADB, then adb on the PATH or in an SDK]",
    ),
    grouped_option(
        WHERE,
        "--power-mode",
        default="auto",
        show_default=True,
        metavar="MODE",
        help="cores for the threads: big, little, all, none (wherever the system puts them), or CPUs such as 4-7;"
        " 0 to 3 are Paddle-Lite's big, little, all, none; auto: big on phones, none elsewhere",
    ),
    grouped_option(
        WHERE, "--keep", is_flag=True, help="leave program and models on the phone for the next run"
    ),
    grouped_option(
        HOW,
        "--threads",
        default="1",
        show_default=True,
        metavar="N[,N...]",
        help="numbers of threads; each is a case of its own",
    ),
    _number(HOW, "--warmup", "N", "inferences before the measured ones", default=10),
    _number(HOW, "--repeats", "N", "measured inferences per model; with --until-ci the fewest", default=30),
    _number(
        HOW,
        "--until-ci",
        "PERCENT",
        "go on until each median is known to +- PERCENT with 95 % confidence, e.g. 1",
        type=float,
    ),
    _number(
        HOW, "--max-seconds", "N", "with --until-ci: stop each case after this time [default: 60]", type=float
    ),
    _number(HOW, "--cool-down", "SECONDS", "pause before each case but the first", default=0.0),
    grouped_option(
        HOW, "--profile", is_flag=True, help="also time each operator and print the times side by side"
    ),
    _number(HOW, "--timeout", "SECONDS", "give a device up when one run takes longer", default=600.0),
    path_option(
        RESULTS,
        "--result-filename",
        help="append one line per model and number of threads, as benchmark_bin's res.txt",
    ),
    path_option(
        RESULTS,
        "--json",
        "json_path",
        help="write everything, with all samples and the device's state, as JSON; again after each case",
    ),
    path_option(RESULTS, "--csv", "csv_path", help="write a table of all figures as CSV"),
    path_option(
        RESULTS,
        "--markdown",
        "markdown_path",
        help="write tables for an issue or pull request as Markdown",
    ),
    path_option(
        RESULTS, "--html", "html_path", help="write a page with charts, in one file that loads nothing"
    ),
    path_option(
        RESULTS,
        "--fp32-accuracy",
        help="what `ptq eval --json` wrote for the FP32 model: shown in --html and --markdown",
    ),
    path_option(RESULTS, "--int8-accuracy", help="... and for the INT8 model"),
    path_option(SAVED, "--from-json", help="show, and write for other readers, what --json saved"),
    path_option(
        SAVED,
        "--compare",
        nargs=2,
        metavar="OLD.json NEW.json",
        help="compare two files of --json, case by case",
    ),
    _number(
        SAVED,
        "--fail-above",
        "RATIO",
        "exit code 4 if a median is more than RATIO times the old one, beyond its noise",
        type=float,
    ),
)


def add_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: every row of OPTIONS in that order."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command
