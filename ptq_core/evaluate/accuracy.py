"""Top-1 and top-5 of a classifier on a labelled list, measured through the runtime that the model file is for."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ptq_core.calibration.decode import load_pictures
from ptq_core.calibration.preprocess import check_sample_shape, read_open_picture
from ptq_core.calibration.readers import labelled_pictures
from ptq_core.calibration.samples import ARRAY_SUFFIXES, load_sample
from ptq_core.errors import InputError
from ptq_core.evaluate.classifier import Classifier, Scores, open_classifier
from ptq_core.files import write_text
from ptq_core.options.preprocess import PreprocessOptions
from ptq_core.reports import AccuracyReport

SCHEMA = 1
TOP = 5

Progress = Callable[[int, int], None]
"""Called after each batch: pictures done, pictures in all."""


def evaluate(
    model: Path,
    labels: Path,
    preprocess: PreprocessOptions,
    *,
    image_dir: Path | None = None,
    json_path: Path | None = None,
    threads: int = 1,
    batch_size: int = 10,
    progress: Progress | None = None,
) -> AccuracyReport:
    """Run ``model`` (`.onnx` or `.nb`) on the pictures of the list ``labels`` and count the hits.

    A model with a fixed batch takes that many pictures at once instead of ``batch_size``. With fewer than five classes,
    `top5` is the share within all of them. `seconds` covers decoding, preprocessing and inference. Raises InputError for
    a list, picture, label, model or preprocessing that does not fit; DeviceError if the runtime is not built.
    """
    if batch_size < 1 or threads < 1:
        raise InputError(
            f"`batch_size={batch_size}` `threads={threads}`",
            rule="both are at least 1",
            fix="correct the value",
        )
    pictures = labelled_pictures(labels, image_dir)
    start = time.monotonic()
    with open_classifier(model, threads=threads) as classifier:
        best = _predict(classifier, pictures, preprocess, batch_size, progress)
        notes = classifier.notes
    expected = np.array([label for _, label in pictures])
    report = AccuracyReport(
        model=str(model),
        top1=float(np.mean(best[:, 0] == expected)),
        top5=float(np.mean(np.any(best == expected[:, None], axis=1))),
        count=len(pictures),
        seconds=round(time.monotonic() - start, 3),
        notes=notes,
    )
    if json_path is not None:
        write_text(json_path, to_json(report, best[:, 0].tolist()))
    return report


def top_classes(scores: Scores) -> npt.NDArray[np.int64]:
    """The min(5, K) best classes of each row of [N, K], best first; among equal scores the lowest index, as argmax does."""
    return np.argsort(-scores.astype(np.float64), axis=1, kind="stable")[:, :TOP]


def to_json(report: AccuracyReport, predicted: Sequence[int]) -> str:
    """The report with `per_picture`, the predicted class of each picture in the list's order."""
    return json.dumps({"schema": SCHEMA, **asdict(report), "per_picture": list(predicted)}) + "\n"


def _predict(
    classifier: Classifier,
    pictures: Sequence[tuple[Path, int]],
    preprocess: PreprocessOptions,
    batch_size: int,
    progress: Progress | None,
) -> npt.NDArray[np.int64]:
    """The best classes of every picture, [pictures, min(5, K)]; pictures are decoded while the model runs."""
    paths = [path for path, _ in pictures]
    best: list[npt.NDArray[np.int64]] = []
    size = classifier.batch or batch_size
    decoded = load_pictures(paths, preprocess, _sample_shape(classifier, paths[0], preprocess))
    for begin in range(0, len(paths), size):
        samples = [sample for _, sample in itertools.islice(decoded, size)]
        fill = size - len(samples) if classifier.batch else 0
        scores = classifier.scores(np.stack(samples + samples[-1:] * fill))[: len(samples)]
        if begin == 0:
            _check_labels(pictures, scores.shape[1], classifier.name)
        _check_numbers(scores, paths[begin:], classifier.name)
        best.append(top_classes(scores))
        if progress is not None:
            progress(begin + len(samples), len(paths))
    return np.concatenate(best)


def _sample_shape(classifier: Classifier, first: Path, preprocess: PreprocessOptions) -> tuple[int, ...]:
    """The input's shape without the batch; dimensions that the model leaves open are those of the first picture."""
    wanted = classifier.input_shape[1:]
    fixed = tuple(size for size in wanted if size is not None)
    if len(fixed) == len(wanted):
        return fixed
    made = _made_shape(first, preprocess)
    if len(made) == len(wanted):
        wanted = tuple(got if size is None else size for size, got in zip(wanted, made, strict=True))
    check_sample_shape(made, preprocess, tuple(size or 0 for size in wanted), str(first))
    return made


def _made_shape(path: Path, preprocess: PreprocessOptions) -> tuple[int, ...]:
    """The shape of the sample in ``path``, a picture or an array."""
    if path.suffix.lower() not in ARRAY_SUFFIXES:
        return read_open_picture(path, preprocess).shape
    loaded = load_sample(path)
    return loaded.shape if isinstance(loaded, np.ndarray) else ()


def _check_labels(pictures: Sequence[tuple[Path, int]], classes: int, name: str) -> None:
    for path, label in pictures:
        if label >= classes:
            raise InputError(
                f"{path} has the label {label}",
                rule=f"{name} knows the classes 0 to {classes - 1}",
                fix="correct the list, or use the list that belongs to the model",
            )


def _check_numbers(scores: Scores, paths: Sequence[Path], name: str) -> None:
    bad = np.isnan(scores).any(axis=1)
    if bad.any():
        raise InputError(
            f"{name} answers {paths[int(bad.argmax())]} with NaN",
            rule="scores are numbers",
            fix="check the model and `preprocess` (a std near zero?)",
        )
