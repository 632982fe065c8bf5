"""What quantization costs on the real MobileNetV1-0.75: a row per configuration, as a Markdown table.

Every row is quantized in a process of its own (whole time and peak memory), then run in onnxruntime on the labelled
pictures (`images/dev.txt`) and on those of calibration. 200 labels are noisy (standard error 2.4 points), so besides
top-1 it gives what can be compared picture by picture with FP32: pictures won and lost, agreement of the best class over
all pictures, and the signal-to-quantization-noise ratio (SQNR) of the logits (input of Softmax) and of the
probabilities, on the pictures that were not calibrated with.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from ptq_core.calibration.decode import load_pictures
from ptq_core.calibration.readers import labelled_pictures
from ptq_core.graph.session import open_session
from ptq_core.numerics.metrics import sqnr_db
from ptq_core.options.preprocess import PreprocessOptions

Floats = npt.NDArray[np.float32]

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("PTQ_SHARED_DATA", ROOT.parent / "shared" / "data"))
MODEL = "mobilenet_v1_075.onnx"
PREPROCESS = PreprocessOptions(resize_short=256, center_crop=(224,), mean=(127.5,), std=(127.5,))
PREPROCESS_FLAGS = ("--resize-short", "256", "--center-crop", "224", "--mean", "127.5", "--std", "127.5")

ASYMMETRIC = {"activation_symmetric": False}
PER_TENSOR = {"weight_quantize_type": "abs_max"}
CORRECT = {"bias_correction": True}
ADAROUND = {"round_type": "adaround"}
EQUALIZE = {"equalize": True}

ROWS: dict[str, dict[str, Any]] = {
    **{
        f"per channel, {algo}": {"algo": algo}
        for algo in ("KL", "abs_max", "min_max", "avg", "hist", "mse", "emd")
    },
    "per channel, mse weights, KL": {"weight_quantize_type": "channel_wise_mse"},
    **{f"per channel, {algo}, asymmetric": {"algo": algo, **ASYMMETRIC} for algo in ("KL", "min_max", "mse")},
    "per channel, KL, +equalize": EQUALIZE,
    "per channel, KL, +bias correction": CORRECT,
    "per channel, KL, +adaround": ADAROUND,
    "per channel, KL, +adaround +bias correction": ADAROUND | CORRECT,
    "per channel, KL, +equalize +adaround +bias correction": EQUALIZE | ADAROUND | CORRECT,
    **{
        f"per channel, {algo}, asymmetric, {words}": {"algo": algo, **ASYMMETRIC, **CORRECT, **more}
        for words, more in (("+bias correction", {}), ("+adaround +bias correction", ADAROUND))
        for algo in ("KL", "min_max", "mse")
    },
    "per channel, mse, asymmetric, +equalize +adaround +bias correction": {
        "algo": "mse", **ASYMMETRIC, **EQUALIZE, **ADAROUND, **CORRECT,
    },
    "per tensor, KL": PER_TENSOR,
    "per tensor, KL, mse weights": {"weight_quantize_type": "mse"},
    "per tensor, KL, +bias correction": PER_TENSOR | CORRECT,
    "per tensor, KL, +equalize": PER_TENSOR | EQUALIZE,
    "per tensor, KL, +equalize +bias correction": PER_TENSOR | EQUALIZE | CORRECT,
    "per tensor, KL, +equalize +adaround": PER_TENSOR | EQUALIZE | ADAROUND,
    "per tensor, KL, +equalize +adaround +bias correction": PER_TENSOR | EQUALIZE | ADAROUND | CORRECT,
    "full quantize, KL": {"is_full_quantize": True},
    "recipe fast": {"recipe": "fast"},
    "recipe accurate": {"recipe": "accurate"},
    "recipe per_tensor": {"recipe": "per_tensor"},
}  # fmt: skip

QUANTIZE_AND_REPORT = """
import re, sys, time
from ptq_cli.main import run
start = time.monotonic()
code = run(sys.argv[1:])
peak = re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())
print("took", time.monotonic() - start, "peak", int(peak.group(1)) / 1000)
sys.exit(code)
"""


@dataclass(frozen=True)
class Outputs:
    """Of one model on all pictures: float32 [pictures, classes] each."""

    logits: Floats
    probabilities: Floats


@dataclass(frozen=True)
class Result:
    """One row. SQNR in dB over the pictures that were not calibrated with; won and lost against FP32 on the labelled ones."""

    name: str
    top1: int
    labelled: int
    won: int
    lost: int
    agreement: int
    pictures: int
    logits_sqnr_db: float
    probabilities_sqnr_db: float
    seconds: float
    peak_mb: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rows", nargs="*", default=["*"], help="only rows whose name fits one of these patterns"
    )
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    arguments = parser.parse_args()
    samples, labels = _pictures()
    float_outputs = _run(DATA / "models" / MODEL, samples)
    print("| configuration | top-1 | won / lost | agreement | logits, dB | probabilities, dB | s | MB |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    results = [compare("FP32", float_outputs, float_outputs, labels, 0.0, 0.0)]
    print(markdown(results[0]), flush=True)
    for name, keys in ROWS.items():
        if any(fnmatch.fnmatch(name, pattern) for pattern in arguments.rows):
            with tempfile.TemporaryDirectory() as folder:
                seconds, peak = _quantize(keys, Path(folder) / "int8")
                outputs = _run(Path(folder) / "int8" / "model.onnx", samples)
            results.append(compare(name, float_outputs, outputs, labels, seconds, peak))
            print(markdown(results[-1]), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n")


def compare(
    name: str,
    reference: Outputs,
    outputs: Outputs,
    labels: npt.NDArray[np.int64],
    seconds: float,
    peak: float,
) -> Result:
    """``labels`` int64 [labelled]: the first pictures are the labelled ones, the others those of calibration."""
    count = len(labels)
    best, expected = outputs.logits.argmax(axis=1), reference.logits.argmax(axis=1)
    right, was_right = best[:count] == labels, expected[:count] == labels
    return Result(
        name,
        top1=int(right.sum()),
        labelled=count,
        won=int((right & ~was_right).sum()),
        lost=int((~right & was_right).sum()),
        agreement=int((best == expected).sum()),
        pictures=len(best),
        logits_sqnr_db=round(sqnr_db(reference.logits[:count], outputs.logits[:count]), 2),
        probabilities_sqnr_db=round(
            sqnr_db(reference.probabilities[:count], outputs.probabilities[:count]), 2
        ),
        seconds=round(seconds, 1),
        peak_mb=round(peak),
    )


def markdown(result: Result) -> str:
    """One row of the table."""
    return (
        f"| {result.name} | {result.top1} | +{result.won} −{result.lost} | {result.agreement} "
        f"| {result.logits_sqnr_db:.1f} | {result.probabilities_sqnr_db:.1f} "
        f"| {result.seconds:.1f} | {result.peak_mb:.0f} |"
    )


def _pictures() -> tuple[list[Floats], npt.NDArray[np.int64]]:
    """All samples, the labelled ones first, and their labels."""
    labelled, calibration = (
        labelled_pictures(DATA / "images" / f"{name}.txt", DATA / "images" / name)
        for name in ("dev", "calib")
    )
    paths = [path for path, _ in (*labelled, *calibration)]
    samples = [sample for _, sample in load_pictures(paths, PREPROCESS, (3, 224, 224))]
    return samples, np.array([label for _, label in labelled])


def _run(path: Path, samples: list[Floats]) -> Outputs:
    """Logits and probabilities of a model whose last node is a Softmax."""
    model = onnx.load(str(path))
    softmax = next(node for node in model.graph.node if node.op_type == "Softmax")
    model.graph.output.append(onnx.ValueInfoProto(name=softmax.input[0]))
    session = open_session(model.SerializeToString())
    name = session.get_inputs()[0].name
    batches = [np.stack(samples[i : i + 10]) for i in range(0, len(samples), 10)]
    results = [session.run([softmax.input[0], softmax.output[0]], {name: batch}) for batch in batches]
    logits, probabilities = (
        np.concatenate(each).reshape(len(samples), -1) for each in zip(*results, strict=True)
    )
    return Outputs(logits, probabilities)


def _quantize(keys: dict[str, Any], out: Path) -> tuple[float, float]:
    """Quantize in a process of its own: (seconds without the start of Python, peak resident memory in MB)."""
    keys = dict(keys)
    recipe = keys.pop("recipe", None)
    base = ["-c", str(ROOT / "configs" / "recipes" / f"{recipe}.yaml")] if recipe else []
    command = [
        sys.executable, "-c", QUANTIZE_AND_REPORT, "quantize", *base,
        "--model-dir", str(DATA / "models" / MODEL), "--image-dir", str(DATA / "images" / "calib"),
        "--save-model-path", str(out), *PREPROCESS_FLAGS,
    ]  # fmt: skip
    for key, value in keys.items():
        command += ["--set", f"{key}={json.dumps(value) if isinstance(value, bool) else value}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    found = re.search(r"took ([\d.]+) peak ([\d.]+)", done.stdout)
    if done.returncode != 0 or found is None:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return float(found.group(1)), float(found.group(2))


if __name__ == "__main__":
    main()
