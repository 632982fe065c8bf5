"""`ptq eval`: accuracy of a model on labelled pictures."""

from __future__ import annotations

import os
from pathlib import Path

from ptq_cli.flags import command, group, option, output, path, printer
from ptq_core.files import STDOUT
from ptq_core.progress import meter


@command(
    group(
        "Model and pictures",
        path("--model", required=True, help="model: .onnx (onnxruntime) or .nb (our runtime)"),
        path(
            "--labels", required=True, help="list with a line `file label` per picture; labels count from 0"
        ),
        path(
            "--image-dir",
            metavar="DIR",
            help="folder that the list's files are in [default: the list's folder]",
        ),
        path(
            "-c",
            "--config",
            required=True,
            help="quantization configuration (YAML); only `preprocess` is used",
        ),
    ),
    group(
        "How",
        option("--threads", type=int, metavar="N", help="threads of the inference [default: one per core]"),
        option(
            "--batch-size",
            default=10,
            metavar="N",
            help="pictures at once, where the model leaves it open",
        ),
    ),
    group(
        "Results",
        output("--json", "json_path", help="write the result and each picture's predicted label as JSON"),
    ),
    name="eval",
)
def eval_command(
    model: Path,
    labels: Path,
    image_dir: Path | None,
    config: Path,
    json_path: Path | None,
    threads: int | None,
    batch_size: int,
) -> None:
    """Measure top-1 and top-5 of a classifier on labelled pictures.

    Among equal scores the class with the lowest index wins. With fewer than five classes, top-5 covers all of them.
    """
    from ptq_core.evaluate.accuracy import evaluate  # imports NumPy and Pillow: only when needed
    from ptq_core.evaluate.preprocess_file import load_preprocess
    from ptq_core.runtime import MAX_THREADS

    say = printer([json_path])
    with meter("eval", "picture") as progress:
        report = evaluate(
            model,
            labels,
            load_preprocess(config),
            image_dir=image_dir,
            json_path=json_path,
            threads=min(os.cpu_count() or 1, MAX_THREADS) if threads is None else threads,
            batch_size=batch_size,
            progress=progress.at,
        )
    hits1, hits5 = round(report.top1 * report.count), round(report.top5 * report.count)
    say(f"model  {report.model}")
    for note in report.notes:
        say(f"note   {note}")
    say(f"top1   {report.top1:.2%} ({hits1} of {report.count})")
    say(f"top5   {report.top5:.2%} ({hits5} of {report.count})")
    say(f"count  {report.count} pictures in {report.seconds:.1f} s")
    if json_path not in (None, STDOUT):
        say(f"JSON   {json_path}")
