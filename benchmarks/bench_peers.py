"""Quantize the real MobileNetV1-0.75 with ptq and with its peers, side by side: time, memory, accuracy.

    pip install '.[peers]'
    python -m benchmarks.bench_peers [--rounds 3]

Each tool runs as a whole process of its own, on the same 100 photographs, preprocessed by the same code. Rounds are interleaved
(A B C A B C), the table shows the fastest round of each. Accuracy is measured on the 200 labelled photographs in onnxruntime.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("PTQ_SHARED_DATA", ROOT.parent / "shared" / "data"))
MODEL = DATA / "models" / "mobilenet_v1_075.onnx"
PREPROCESS = ("--resize-short", "256", "--center-crop", "224", "--mean", "127.5", "--std", "127.5")

SAMPLES = """
import sys
from pathlib import Path
from ptq_core.calibration.preprocess import read_picture
from ptq_core.options.preprocess import PreprocessOptions
config = PreprocessOptions(resize_short=256, center_crop=(224,), mean=(127.5,), std=(127.5,))
model, pictures, out = sys.argv[1:4]
def samples():
    for path in sorted(Path(pictures).iterdir()):
        yield read_picture(path, config, (3, 224, 224))[None]
"""

ONNXRUNTIME = (
    SAMPLES
    + """
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantType, quantize_static
class Reader(CalibrationDataReader):
    def __init__(self): self.items = samples()
    def get_next(self): return next(({"input": x} for x in self.items), None)
quantize_static(model, out, Reader(), per_channel=True, calibrate_method=CalibrationMethod[METHOD],
                activation_type=QuantType.QInt8, weight_type=QuantType.QInt8)
"""
)

NNCF = (
    SAMPLES
    + """
import nncf, onnx
onnx.save(nncf.quantize(onnx.load(model), nncf.Dataset(list(samples()), lambda x: {"input": x}), subset_size=100), out)
"""
)


@dataclass(frozen=True)
class Tool:
    """A row: its name, the package it needs, and the program (None: the ptq command with these flags)."""

    name: str
    package: str
    program: str | None
    flags: tuple[str, ...] = ()


TOOLS = (
    Tool("ptq KL", "ptq_core", None),
    Tool("ptq abs_max", "ptq_core", None, ("--algo", "abs_max")),
    Tool("onnxruntime MinMax", "onnxruntime", ONNXRUNTIME.replace("METHOD", "'MinMax'")),
    Tool("onnxruntime Entropy", "onnxruntime", ONNXRUNTIME.replace("METHOD", "'Entropy'")),
    Tool("NNCF", "nncf", NNCF),
)


def command(tool: Tool, out: Path) -> list[str]:
    """The process that quantizes with ``tool`` and writes ``out/model.onnx``."""
    pictures = str(DATA / "images" / "calib")
    if tool.program is not None:
        return [sys.executable, "-c", tool.program, str(MODEL), pictures, str(out / "model.onnx")]
    return [
        sys.executable, "-m", "ptq_cli", "quantize", "--model-dir", str(MODEL), "--image-dir", pictures,
        *PREPROCESS, *tool.flags, "--save-model-path", str(out),
    ]  # fmt: skip


def measure(arguments: list[str]) -> tuple[float, float]:
    """Wall seconds and peak resident MB of a process with its children."""
    done = subprocess.run(
        ["/usr/bin/env", "python3", "-c", PROBE, *arguments], cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise SystemExit(f"{arguments[:3]} failed:\n{done.stderr[-2000:]}")
    seconds, megabytes = done.stdout.split()[-2:]
    return float(seconds), float(megabytes)


PROBE = """
import resource, subprocess, sys, time
start = time.monotonic()
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
print(time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000)
sys.exit(done.returncode)
"""


def top1(model: Path) -> int:
    """Hits among the 200 labelled photographs."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
        config.write("preprocess: {resize_short: 256, center_crop: 224, mean: [127.5], std: [127.5]}\n")
        config.flush()
        images = DATA / "images"
        done = subprocess.run(
            [
                sys.executable, "-m", "ptq_cli", "eval", "--model", str(model), "--image-dir", str(images / "dev"),
                "--labels", str(images / "dev.txt"), "-c", config.name,
            ],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
    found = re.search(r"top1.*\((\d+) of", done.stdout)
    assert found, done.stdout
    return int(found.group(1))


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="runs of each tool (default 3)")
    rounds = parser.parse_args().rounds
    if not MODEL.is_file():
        raise SystemExit(f"no real model at {MODEL}: set PTQ_SHARED_DATA")
    tools = [tool for tool in TOOLS if importlib.util.find_spec(tool.package)]
    for tool in TOOLS:
        if tool not in tools:
            print(f"{tool.name}: not installed, left out (pip install '.[peers]')", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        runs: dict[str, list[tuple[float, float]]] = {tool.name: [] for tool in tools}
        for _ in range(rounds):
            for tool in tools:
                out = Path(folder) / tool.name.replace(" ", "_")
                out.mkdir(exist_ok=True)
                runs[tool.name].append(measure(command(tool, out)))
        print(f"| tool | seconds | MB | top-1 of 200 (FP32: {top1(MODEL)}) |\n|---|---|---|---|")
        for tool in tools:
            seconds, megabytes = min(runs[tool.name])
            hits = top1(Path(folder) / tool.name.replace(" ", "_") / "model.onnx")
            print(f"| {tool.name} | {seconds:.1f} | {megabytes:.0f} | {hits} |")


if __name__ == "__main__":
    main()
