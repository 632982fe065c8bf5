"""What attacks begin with: a folder with a good input of every kind, on which every command works."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx

from ptq_core.runtime import runtime_folder
from tests.attack.nest import Nest, Order
from tests.models import mobile_block
from tests.pictures import save_pictures

CONFIG = """\
algo: KL
batch_size: 2
is_use_cache_file: true
cache_dir: cache
image_dir: pictures
model_dir: m.onnx
quantizable_op_type: [conv2d, depthwise_conv2d, mul]
is_full_quantize: false
skip_quant: [skip_quant]
save_model_path: out/q
preprocess:
  resize: [16, 16]
  mean: [127.5, 127.5, 127.5]
  std: [127.5, 127.5, 127.5]
  channel_order: RGB
  layout: NCHW
"""

FALSE_ADB = """\
#!/bin/sh
# A phone that is a folder here. The call that LIE_AT counts does what LIE says instead.
while :; do case "$1" in -s|-H|-P) shift 2 ;; *) break ;; esac; done
calls=$(cat calls 2>/dev/null || echo 0)
echo $((calls + 1)) > calls
here() { printf '%s' "$1" | sed "s#/data/local/tmp#$PWD/phone#g"; }
if [ "$calls" = "$LIE_AT" ]; then eval "$LIE"; fi
mkdir -p phone
case "$1" in
devices) printf 'List of devices attached\\nR58M\\tdevice product:x model:y device:z transport_id:1\\n' ;;
shell) shift; PATH="$PWD/system:$PATH" sh -c "$(here "$*")" ;;
push) cp "$2" "$(here "$3")" ;;
pull) head -c 1G "$(here "$2")" > "$3" ;;
esac
"""

GETPROP = """\
#!/bin/sh
case "$1" in
ro.product.cpu.abi) echo x86_64 ;;
ro.product.cpu.abilist) echo x86_64 ;;
ro.build.version.release) echo 14 ;;
"") printf '[ro.product.cpu.abi]: [x86_64]\\n[ro.product.model]: [y]\\n[ro.build.version.release]: [14]\\n' ;;
*) echo y ;;
esac
"""

BENCH = ("bench", "--fp32", "m.nb", "--int8", "q.nb", "--repeats", "2", "--warmup", "0", "--timeout", "20")

COMMANDS: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
    "quantize": (("quantize", "-c", "c.yaml"), ("out/q/model.onnx", "out/q/quantization.json")),
    "analyze": (
        ("analyze", "-c", "c.yaml", "--json", "out/a.json", "--csv", "out/a.csv", "--html", "out/a.html"),
        ("out/a.json", "out/a.csv", "out/a.html"),
    ),
    "opt": (
        ("opt", "--model-file", "m.onnx", "--optimize-out", "out/m", "--valid-targets", "host"),
        ("out/m.nb",),
    ),
    "opt int8": (
        ("opt", "--model-dir", "q", "--optimize-out", "out/q", "--valid-targets", "host", "--explain"),
        ("out/q.nb",),
    ),
    "opt to ONNX": (
        ("opt", "--model-file", "m.onnx", "--optimize-out", "out/m", "--optimize-out-type", "protobuf"),
        ("out/m.onnx",),
    ),
    "opt operators": (("opt", "--model-file", "m.onnx", "--print-model-ops"), ()),
    "opt kernels": (
        ("opt", "--optimized-nb-model-path", "q.nb", "--display-kernels", "--valid-targets", "host"),
        (),
    ),
    "opt drawing": (
        ("opt", "--optimized-nb-model-path", "q.nb", "--visualization-file-output-path", "out"),
        ("out/q.dot",),
    ),
    "eval": (
        (
            "eval",
            "--model",
            "m.onnx",
            "--labels",
            "labels.txt",
            "-c",
            "c.yaml",
            "--threads",
            "1",
            "--json",
            "out/e.json",
        ),
        ("out/e.json",),
    ),
    "eval int8": (
        ("eval", "--model", "q.nb", "--labels", "labels.txt", "-c", "c.yaml", "--threads", "1"),
        (),
    ),
    "show": (("show", "m.onnx"), ()),
    "show int8": (("show", "q/model.onnx", "--json"), ()),
    "show flat": (("show", "q.nb"), ()),
    "show cache": (("show", "cache.npz", "--json"), ()),
    "bench": (
        (*BENCH, "--device", "local", "--json", "out/b.json", "--csv", "out/b.csv"),
        ("out/b.json", "out/b.csv"),
    ),
    "bench phone": ((*BENCH, "--device", "R58M", "--json", "out/b.json"), ("out/b.json",)),
    "bench report": (
        (
            "bench",
            "--from-json",
            "b.json",
            "--markdown",
            "out/b.md",
            "--html",
            "out/b.html",
            "--csv",
            "out/b.csv",
        ),
        ("out/b.md", "out/b.html", "out/b.csv"),
    ),
    "bench compare": (("bench", "--compare", "b.json", "b2.json"), ()),
}
"""Name → the words of a command that works in the world, and the files that it makes."""


def environment(folder: Path) -> dict[str, str]:
    """Of every command in ``folder``: no adb but ours, and the phone's runtime is this machine's."""
    return {
        "ADB": str(folder / "adb"),
        "PTQ_RUNTIME_DIR": str(folder / "runtime"),
        "LIE_AT": "-1",
        "HOME": str(folder),
    }


def make_world(folder: Path, nest: Nest) -> None:
    """Make ``folder``. Raises RuntimeError if a command does not work on what is good."""
    save_pictures(folder / "pictures", 4)
    (folder / "system").mkdir()
    (folder / "labels.txt").write_text("".join(f"pictures/{index}.png {index}\n" for index in range(4)))
    (folder / "c.yaml").write_text(CONFIG)
    onnx.save(mobile_block(), str(folder / "m.onnx"))
    for name, text in (("adb", FALSE_ADB), ("system/getprop", GETPROP)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    for abi in ("host", "x86_64"):
        (folder / "runtime").mkdir(exist_ok=True)
        (folder / "runtime" / abi).symlink_to(runtime_folder("host"))
    steps: tuple[tuple[Sequence[str], str, str], ...] = (
        (COMMANDS["quantize"][0], "out/q", "q"),
        (COMMANDS["opt"][0], "out/m.nb", "m.nb"),
        (COMMANDS["opt int8"][0], "out/q.nb", "q.nb"),
        (COMMANDS["bench"][0], "out/b.json", "b.json"),
        (COMMANDS["bench"][0], "out/b.json", "b2.json"),
        (COMMANDS["bench phone"][0], "out/b.json", "phone.json"),
    )
    for words, made, kept in steps:
        end = nest.run(Order(words, str(folder), environment(folder)))
        if end.code != 0:
            raise RuntimeError(f"ptq {' '.join(words)}: {end.code}: {(folder.parent / 'stderr').read_text()}")
        (folder / made).rename(folder / kept)
    (cache,) = (folder / "cache").glob("*.npz")
    shutil.copy(cache, folder / "cache.npz")
    for left in ("out", "phone"):
        shutil.rmtree(folder / left)
    (folder / "calls").unlink()
