"""`ptq opt`: an ONNX model (FP32 or QDQ) to the flat file of the runtime, with Paddle-Lite's flags."""

from __future__ import annotations

from pathlib import Path

import click

from cli.explain import explain as explain_passes
from cli.options import CONTEXT, boolean_option, parse_shape, size_text
from ptq_core.errors import InputError


def _print_supported_ops(context: click.Context) -> None:
    from ptq_core.optimize.supported import supported_table

    click.echo(supported_table())
    context.exit()


@click.command(context_settings=CONTEXT)
@click.option("--model-dir", type=click.Path(path_type=Path), help="folder with the .onnx model")
@click.option("--model-filename", help="name of the .onnx file in --model-dir [default: the only one]")
@click.option(
    "--model-file", type=click.Path(path_type=Path), help="the .onnx file itself, instead of --model-dir"
)
@click.option("--param-file", "--param-filename", "param_file", help="name of its external-data file")
@click.option(
    "--optimize-out-type",
    default="naive_buffer",
    show_default=True,
    metavar="naive_buffer",
    help="kind of output",
)
@click.option(
    "--optimize-out", required=True, type=click.Path(path_type=Path), help="output file; .nb is appended"
)
@click.option(
    "--valid-targets",
    default="arm",
    show_default=True,
    help="where it will run: arm, arm64, armv7, x86, host",
)
@boolean_option("--prefer-int8-kernel", "run QDQ models in int8; false simulates them in float", default=True)
@click.option(
    "--print-supported-ops",
    "--print-all-ops",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda context, _, wanted: _print_supported_ops(context) if wanted else None,
    help="list the operators that the runtime has, and leave",
)
@boolean_option("--explain", "print what each pass changed")
@click.option("--input-shape", metavar="N,C,H,W", help="the input's shape, where the model leaves it open")
def opt(
    model_dir: Path | None,
    model_filename: str | None,
    model_file: Path | None,
    param_file: str | None,
    optimize_out_type: str,
    optimize_out: Path,
    valid_targets: str,
    prefer_int8_kernel: bool,
    explain: bool,
    input_shape: str | None,
) -> None:
    """Optimize an ONNX model (FP32, or QDQ from `ptq quantize`) into one flat file for the runtime."""
    from ptq_core.graph.io import find_model, load_model
    from ptq_core.optimize.pipeline import optimize

    if optimize_out_type != "naive_buffer":
        raise InputError(
            f"--optimize-out-type {optimize_out_type}",
            rule="the only output type is naive_buffer, the flat file",
            fix="leave the flag out",
        )
    if (model_dir is None) == (model_file is None):
        raise InputError(
            "give the model as --model-dir or --model-file",
            rule="exactly one of the two names the model",
            fix="e.g. --model-dir ./mobilenetv1_int8_model",
        )
    source = find_model(model_dir or Path(str(model_file)), model_filename)
    shape = parse_shape(input_shape)
    out = optimize_out if optimize_out.suffix == ".nb" else optimize_out.with_name(optimize_out.name + ".nb")
    model = load_model(
        source, params_filename=Path(param_file).name if param_file else None, input_shape=shape
    )
    targets = tuple(valid_targets.replace(",", " ").split())
    report = optimize(model, out, targets=targets, prefer_int8_kernel=prefer_int8_kernel)
    if explain:
        click.echo(explain_passes(report.passes))
    click.echo(
        f"{report.op_count} operators, {report.int8_op_count} in int8; arena {size_text(report.arena_bytes)}, "
        f"{report.arena_bytes / max(report.arena_least_bytes, 1):.3f} x the least possible\n"
        f"{size_text(report.size_bytes)} in {report.seconds:.1f} s\n"
        f"model:  {report.path}"
    )
