"""The flags of `ptq opt`, Paddle-Lite's names: those that work, in groups, and those that are refused with a reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from ptq_cli.flags import group, option, path, switch
from ptq_core.errors import InputError
from ptq_core.options.shapes import Shape, parse_shapes

SOURCE = ("model_dir", "model_filename", "param_filename", "model_file", "param_file", "input_shape")

READ_BY_LISTING: dict[str, tuple[str, ...]] = {
    "print_supported_ops": ("valid_targets",),
    "print_all_ops": ("print_all_ops_in_md_format", "valid_targets"),
    "print_all_ops_in_md_format": ("valid_targets",),
    "display_kernels": (
        *SOURCE, "valid_targets", "optimized_nb_model_path", "prefer_int8_kernel", "enable_fp16", "quant_model", "quant_type",
    ),
    "print_model_ops": (*SOURCE, "valid_targets"),
    "optimized_nb_model_path": ("visualization_file_output_path",),
    "visualization_file_output_path": ("optimized_nb_model_path",),
}  # fmt: skip
"""What only lists or draws, the first given being done, and the other flags that it reads: any more are refused."""


@dataclass(frozen=True)
class Flags:
    """What the user gave; names as on the command line."""

    model_dir: Path | None
    model_filename: str | None
    param_filename: str | None
    model_file: Path | None
    param_file: Path | None
    model_set_dir: Path | None
    input_shape: tuple[str, ...]
    optimize_out: Path | None
    optimize_out_type: str
    valid_targets: str
    prefer_int8_kernel: bool
    quant_model: bool
    quant_type: str | None
    enable_fp16: bool
    explain: bool
    no_verify: bool
    print_supported_ops: bool
    print_all_ops: bool
    print_all_ops_in_md_format: bool
    print_model_ops: bool
    display_kernels: bool
    record_tailoring_info: bool
    optimized_nb_model_path: Path | None
    visualization_file_output_path: Path | None

    @property
    def targets(self) -> tuple[str, ...]:
        """``valid_targets`` as names, in the user's order."""
        return tuple(dict.fromkeys(self.valid_targets.replace(",", " ").split()))

    @property
    def shapes(self) -> tuple[Shape, ...] | dict[str, Shape] | None:
        """``input_shape`` parsed."""
        return parse_shapes(self.input_shape)


@dataclass(frozen=True)
class Refusal:
    """Why a flag of Paddle-Lite has no meaning here, and what to do instead."""

    reason: str
    fix: str


_NO_NPU = Refusal("there are no NPU back ends here: every model runs on the CPU", "leave the flag out")
_NO_SPARSE = Refusal(
    "there are no sparse kernels: a pruned model runs as a dense one",
    "leave the flag out; `ptq quantize` makes the model smaller and faster",
)
REFUSED: Mapping[str, Refusal] = {
    "--sparse-model": _NO_SPARSE,
    "--sparse-threshold": _NO_SPARSE,
    "--nnadapter-mixed-precision-quantization-config-path": _NO_NPU,
    "--nnadapter-subgraph-partition-config-path": _NO_NPU,
}
"""Paddle-Lite's flags that cannot be obeyed. Given with the value `false`, a flag asks for nothing and is accepted."""


def _refuse(_context: click.Context, option: click.Parameter, value: str | None) -> None:
    if value is None or value.lower() in ("", "0", "false", "no", "off"):
        return
    refusal = REFUSED[option.opts[0]]
    raise InputError(f"{option.opts[0]} {value}".removesuffix(" true"), rule=refusal.reason, fix=refusal.fix)


REFUSED_OPTIONS = tuple(
    option(name, is_flag=False, flag_value="true", hidden=True, expose_value=False, callback=_refuse)
    for name in REFUSED
)

GROUPS = (
    group(
        "The model",
        path("--model-dir", help="folder with the .onnx model", metavar="DIR"),
        path("--model-file", help="the .onnx file itself, instead of --model-dir", metavar="FILE"),
        option(
            "--input-shape",
            multiple=True,
            metavar="SHAPE",
            help="for open dimensions: 1,3,224,224; of several inputs 1,3,224,224:1,5 in order, or one NAME:1,3,224,224 each",
        ),
        option(
            "--model-filename",
            metavar="NAME",
            help="the .onnx file in --model-dir [default: the only one]",
        ),
        option(
            "--param-filename",
            metavar="NAME",
            help="its external-data file [default: the one that it refers to]",
        ),
        path("--param-file", help="the external-data file beside it", metavar="FILE"),
        path(
            "--model-set-dir",
            help="folder of models, .onnx files or folders as --model-dir: each is optimized",
            metavar="DIR",
        ),
    ),
    group(
        "The output",
        path(
            "--optimize-out",
            help="output file without its suffix; a folder with --model-set-dir",
            metavar="PATH",
        ),
        option(
            "--valid-targets",
            default="arm",
            metavar="NAMES",
            help="where it will run, by commas or spaces: arm (64 and 32 bits), arm64, armv7, x86, host",
        ),
        switch("--explain", help="print what each pass changed"),
        switch("--no-verify", help="do not compare the written file with onnxruntime"),
        option(
            "--optimize-out-type",
            default="naive_buffer",
            metavar="TYPE",
            help="naive_buffer: flat file NAME.nb for the runtime; protobuf: NAME.onnx, simplified",
        ),
        switch(
            "--record-tailoring-info",
            help="write NAME.tailor, what a runtime for this model needs: make runtime TAILOR=NAME.tailor",
        ),
    ),
    group(
        "Precision",
        switch("--prefer-int8-kernel", help="run QDQ models in int8; false runs them in float", default=True),
        switch(
            "--enable-fp16",
            help="store and run what is float in half precision: half the size, on Armv8.2 nearly twice the speed",
        ),
        switch(
            "--quant-model",
            help="store the weights of float operators as integers: a smaller file, computed in float as before",
        ),
        option(
            "--quant-type",
            metavar="TYPE",
            help="of --quant-model: QUANT_INT8, a quarter of the size, or QUANT_INT16, half of it [default: QUANT_INT16]",
        ),
    ),
    group(
        "Lists and drawings (nothing is optimized)",
        switch("--print-supported-ops", help="the operators that --valid-targets can run"),
        switch("--print-all-ops", help="the operators, and which target runs each"),
        switch("--print-all-ops-in-md-format", help="the same in Markdown"),
        switch("--print-model-ops", help="the model's operators; exit code 2 if some cannot run"),
        switch(
            "--display-kernels",
            help="the kernel of each operator on every CPU of --valid-targets (host: on this machine), and why not another; "
            "without a model all kernels",
        ),
        path(
            "--optimized-nb-model-path",
            help="a flat file to draw, or for --display-kernels",
            metavar="FILE.nb",
        ),
        path(
            "--visualization-file-output-path",
            help="where to: NAME.dot, and NAME.svg where Graphviz is installed",
            metavar="DIR",
        ),
    ),
    group("", *REFUSED_OPTIONS),
)
