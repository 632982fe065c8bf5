"""The flags of `ptq bench`, in groups."""

from __future__ import annotations

import click

from ptq_cli.flags import group, option, output, path, switch

GROUPS = (
    group(
        "Models",
        path("--fp32", help="FP32 model: .nb, or .onnx, which is optimized first"),
        path("--int8", help="INT8 model: .nb, or .onnx. With both, the speed-up is shown"),
    ),
    group(
        "Where",
        option(
            "--device",
            default="auto",
            metavar="NAME[,NAME...]",
            help="auto: the phone on adb, else this machine; local: this machine; all: every phone; a phone's serial;"
            " qemu:CPU, e.g. qemu:cortex-a76, for outputs but not for times. Several are measured at once",
        ),
        option(
            "--adb",
            metavar="PATH",
            help="the adb program [default: $ADB, then adb on the PATH or in an SDK]",
        ),
        option(
            "--adb-host",
            metavar="HOST",
            help="machine of adb's server, for phones that are plugged in there [default: adb's own, this machine]",
        ),
        option(
            "--adb-port",
            metavar="PORT",
            type=click.IntRange(1, 65535),
            help="port of adb's server [default: adb's own, 5037]",
        ),
        option(
            "--power-mode",
            default="auto",
            metavar="MODE",
            help="cores for the threads: big, little, all, none (wherever the system puts them), or CPUs such as 4-7;"
            " 0 to 3 are Paddle-Lite's big, little, all, none; auto: big on phones, none elsewhere",
        ),
        switch("--keep", help="leave program and models on the phone for the next run"),
    ),
    group(
        "How",
        option(
            "--threads",
            default="1",
            metavar="N[,N...]",
            help="numbers of threads; each is a case of its own",
        ),
        option("--warmup", metavar="N", help="inferences before the measured ones", default=10),
        option(
            "--repeats",
            metavar="N",
            help="measured inferences per model; with --until-ci the fewest",
            default=30,
        ),
        option(
            "--until-ci",
            "confidence_percent",
            metavar="PERCENT",
            help="go on until each median is known to +- PERCENT with 95 % confidence, e.g. 1",
            type=float,
        ),
        option(
            "--max-seconds",
            metavar="N",
            help="with --until-ci: stop each case after this time [default: 60]",
            type=float,
        ),
        option(
            "--cool-down",
            "cool_down_s",
            metavar="SECONDS",
            help="pause before each case but the first",
            default=0.0,
        ),
        switch("--profile", help="also time each operator and print the times side by side"),
        option(
            "--timeout",
            "timeout_s",
            metavar="SECONDS",
            help="give a device up when one run takes longer",
            default=600.0,
        ),
    ),
    group(
        "Results",
        path(
            "--result-filename",
            "result_path",
            help="append one line per model and number of threads, as benchmark_bin's res.txt",
        ),
        output(
            "--json",
            "json_path",
            help="write everything, with all samples and the device's state, as JSON; again after each case",
        ),
        output("--csv", "csv_path", help="write a table of all figures as CSV"),
        output(
            "--markdown",
            "markdown_path",
            help="write tables for an issue or pull request as Markdown",
        ),
        output("--html", "html_path", help="write a page with charts, in one file that loads nothing"),
        path(
            "--fp32-accuracy",
            help="what `ptq eval --json` wrote for the FP32 model: shown in --html and --markdown",
        ),
        path("--int8-accuracy", help="... and for the INT8 model"),
    ),
    group(
        "What was measured before (nothing is measured)",
        path("--from-json", help="show, and write for other readers, what --json saved"),
        path(
            "--compare",
            nargs=2,
            metavar="OLD.json NEW.json",
            help="compare two files of --json, case by case",
        ),
        option(
            "--fail-above",
            metavar="RATIO",
            help="exit code 4 if a median is more than RATIO times the old one, beyond its noise",
            type=float,
        ),
    ),
)
