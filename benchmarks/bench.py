"""`make bench`: time and memory of `ptq quantize`, latency of the runtime; on the demo, and on real data where present.

Every number is of a whole process, as a user would start it. Peak memory is the kernel's ru_maxrss.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("PTQ_SHARED_DATA", ROOT.parent / "shared" / "data"))
PTQ = [sys.executable, "-m", "ptq_cli"]


@dataclass(frozen=True)
class Model:
    """A model to measure: its folder or file, its pictures, its preprocessing as flags."""

    name: str
    source: Path
    pictures: Path
    flags: tuple[str, ...]


MODELS = (
    Model(
        "digits",
        ROOT / "examples/digits/model",
        ROOT / "examples/digits/calibration_images",
        ("--resize", "32,32", "--mean", "127.5", "--std", "127.5"),
    ),
    Model(
        "mobilenet_v1_075",
        DATA / "models/mobilenet_v1_075.onnx",
        DATA / "images/calib",
        ("--resize-short", "256", "--center-crop", "224", "--mean", "127.5", "--std", "127.5"),
    ),
)
PICTURES = (20, 100)


def measure(command: list[str]) -> tuple[float, float]:
    """Run ``command``; seconds of wall time and peak resident memory in MB of the process."""
    probe = (
        "import resource, subprocess, sys, time; t = time.monotonic(); "
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
        "print(time.monotonic() - t, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000)"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe, *command], check=True, capture_output=True, text=True, cwd=ROOT
    )
    seconds, megabytes = done.stdout.split()
    return float(seconds), float(megabytes)


def bench_quantize(model: Model, work: Path) -> None:
    """Print one row per number of pictures."""
    for pictures in PICTURES:
        seconds, megabytes = measure(
            [
                *PTQ, "quantize", "--model-dir", str(model.source), "--image-dir", str(model.pictures), *model.flags,
                "--batch-nums", str(pictures // 10), "--save-model-path", str(work / "int8_model"),
            ]
        )  # fmt: skip
        print(f"{model.name:<18}quantize KL, {pictures:>3} pictures  {seconds:6.2f} s  {megabytes:6.0f} MB")


def bench_latency(model: Model, work: Path) -> None:
    """Print the median latency of both precisions, measured in turns."""
    for name, source in (("fp32", model.source), ("int8", work / "int8_model")):
        flag = "--model-dir" if source.is_dir() else "--model-file"
        measure(
            [*PTQ, "opt", flag, str(source), "--optimize-out", str(work / name), "--valid-targets", "host"]
        )
    result = work / "bench.json"
    measure(
        [
            *PTQ,
            "bench",
            "--fp32",
            str(work / "fp32.nb"),
            "--int8",
            str(work / "int8.nb"),
            "--json",
            str(result),
        ]
    )
    for case in json.loads(result.read_text())["devices"][0]["cases"]:
        medians = {m["precision"]: m["latency"]["median_ms"] for m in case["models"]}
        print(
            f"{model.name:<18}runtime, {case['threads']} thread   FP32 {medians['fp32']:.3f} ms  "
            f"INT8 {medians['int8']:.3f} ms  {case['speed_up']['ratio']:.2f}x"
        )


def main() -> None:
    """Measure every model that is present."""
    for model in MODELS:
        if not model.source.exists():
            print(f"{model.name:<18}not measured: {model.source.name} is not here (set PTQ_SHARED_DATA)")
            continue
        with tempfile.TemporaryDirectory() as folder:
            bench_quantize(model, Path(folder))
            bench_latency(model, Path(folder))


if __name__ == "__main__":
    main()
