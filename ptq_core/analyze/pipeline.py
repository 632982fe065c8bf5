"""`ptq analyze`: from a configuration to what every int8 operator costs, and which of them to leave in float."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import onnx
import onnx_ir as ir

from ptq_core.analyze.budgets import SHARES, Candidate, as_written, best_lists
from ptq_core.analyze.chain import Chain
from ptq_core.analyze.histograms import histograms
from ptq_core.analyze.macs import counted, macs, shape_values
from ptq_core.analyze.operators import operator_rows
from ptq_core.analyze.outputs import OutputNoise
from ptq_core.analyze.report import DEFAULT_SAMPLES, Analysis, Budget, Operator, OutputFigure
from ptq_core.analyze.rounding import rounding_of
from ptq_core.analyze.sensitivity import Fed, Walk
from ptq_core.analyze.variants import Variants
from ptq_core.calibration.feed import Feed
from ptq_core.calibration.samples import Arrays
from ptq_core.config import QuantizeConfig
from ptq_core.errors import InputError
from ptq_core.graph import io, scopes
from ptq_core.progress import Meter, meter
from ptq_core.quantize.planning import Prepared, Ranges, collect, prepare
from ptq_core.quantize.samples import few_samples
from ptq_core.quantize.selection import Unit

MOST_PIECES = 16
"""A model is cut into about so many pieces: more are more exact in what must run again, and cost more for each run."""


def analyze(
    config: QuantizeConfig, *, samples: int = DEFAULT_SAMPLES, profile: Path | None = None
) -> Analysis:
    """Analyze the model and configuration on ``samples`` of its pictures; ``profile`` is a report of `ptq bench`.

    Raises InputError.
    """
    started = time.monotonic()
    source = io.find_model(config.model_dir, config.model_filename)
    model = io.load_model(source, params_filename=config.params_filename, input_shape=config.input_shape)
    prepared = prepare(model, config, None)
    latency = _latency(profile, prepared.selection.units)
    few = few_samples(config, prepared.inputs, None, lambda _: samples).samples
    if not few:
        raise InputError(
            "there are no pictures to analyze on",
            rule="the float and the int8 model are compared on pictures of `image_dir` or `image_list`",
            fix="set one of them",
        )
    calibration = collect(prepared, config, observed_values(prepared), None, None)
    variants = Variants(prepared, Ranges(calibration.statistics, config), config)
    proto = onnx.ModelProto.FromString(io.to_bytes(prepared.model))
    units = variants.full.selection.units
    chain = Chain(proto, _starts(proto, units))
    nodes = [node for node in prepared.model.graph if counted(node) and macs(node, prepared.inputs) is None]
    unknown = [value for node in nodes for value in shape_values(node)]
    inner = dict.fromkeys(str(value.name) for value in (*(unit.output for unit in units), *unknown))
    with meter("analyze", "run", 0) as progress:
        walk = Walk(chain, rounding_of(variants.full), _feeds(proto, few), _advancing(progress))
        base, inside, shapes = walk.compare(list(inner))
        alone = [walk.alone(variants.only(unit)) for unit in units]
        without = [walk.without(variants.without([str(unit.node.name)])) for unit in units]
        noises = walk.run([*alone, *without])
        shapes |= prepared.inputs
        counts = {str(node.name): macs(node, shapes) for node in prepared.model.graph}
        pairs = list(zip(noises[: len(units)], noises[len(units) :], strict=True))
        operators = operator_rows(variants.full, calibration.statistics, base, inside, pairs, counts, latency)
        written = walk.written(variants.written_without(()))
        budgets = _budgets(config, prepared, variants, walk, operators, pairs, (base, written))
    return Analysis(
        model=source.name,
        algo=config.algo,
        pictures=calibration.pictures,
        samples=len(few),
        sqnr_db=written.worst_db,
        outputs=_figures(written),
        operators=operators,
        float_operators=len(variants.full.selection.reasons),
        budgets=budgets,
        histograms=histograms(sorted(operators, key=lambda each: each.rank), calibration.statistics),
        warnings=tuple(calibration.warnings),
        notes=tuple(filter(None, (prepared.converted, prepared.absent))),
        seconds=time.monotonic() - started,
    )


def observed_values(prepared: Prepared) -> list[ir.Value]:
    """The values whose ranges a plan without some operators may need: all that the operators read and write."""
    values: dict[ir.Value, None] = {}
    for unit in prepared.selection.units:
        raw = unit.node.outputs[:1] if unit.activation is not None else ()
        values |= dict.fromkeys((*unit.inputs, *unit.quantized_outputs, *raw))
    return [value for value in values if value.const_value is None]


def _starts(proto: onnx.ModelProto, units: Sequence[Unit]) -> list[int]:
    """Indices of nodes to cut the model before."""
    places = {node.name: index for index, node in enumerate(proto.graph.node)}
    size = math.ceil(len(units) / MOST_PIECES)
    return [places[str(unit.node.name)] for unit in units[::size]]


def _feeds(proto: onnx.ModelProto, samples: Sequence[Arrays]) -> list[Fed]:
    """What to feed: a sample at a time, or as many as the model's batch is fixed to."""
    feed = Feed.of(proto.graph, [value.name for value in proto.graph.input])
    batch = feed.batch or 1
    parts = [samples[i : i + batch] for i in range(0, len(samples), batch)]
    return [Fed(feed.stacked(part, batch), len(part), batch) for part in parts]


def _latency(profile: Path | None, units: Sequence[Unit]) -> list[float | None]:
    if profile is None:
        return [None] * len(units)
    from ptq_core.analyze.latency import latency_shares  # only where it is asked for

    pairs = ((unit.node, unit.activation) for unit in units)
    return latency_shares(profile, [[str(node.name) for node in pair if node] for pair in pairs])


def _figures(noise: OutputNoise) -> tuple[OutputFigure, ...]:
    return tuple(
        OutputFigure(name, each.sqnr_db if each.signal > 0 else None)
        for name, each in noise.by_output.items()
    )


def _budgets(
    config: QuantizeConfig,
    prepared: Prepared,
    variants: Variants,
    walk: Walk,
    operators: Sequence[Operator],
    pairs: Sequence[tuple[OutputNoise, OutputNoise]],
    full: tuple[OutputNoise, OutputNoise],
) -> tuple[Budget, ...]:
    """Lists that are best in simulation, each then measured as it would be written; ``full`` is all int8 in both ways."""
    simulated, written = full
    names = {name for name, _ in prepared.original}
    names -= {
        name for name in names if "*" in name and any(scopes.fits(each, name) for each in names - {name})
    }
    candidates = [
        Candidate(each.name, each.macs_share, alone.worst_ratio, simulated.worst_ratio - without.worst_ratio)
        for each, (alone, without) in zip(operators, pairs, strict=True)
        if each.name in names and each.macs_share is not None
    ]
    if not candidates:
        return ()
    order = {each.name: index for index, each in enumerate(operators)}

    def measure(lists: Sequence[tuple[str, ...]]) -> list[OutputNoise]:
        return walk.run([walk.without(variants.without(each)) for each in lists])

    trials = best_lists(candidates, measure, simulated.worst_ratio)
    kept = as_written(trials, lambda names: walk.written(variants.written_without(names)), written)
    rows = []
    for share, (trial, noise) in zip(SHARES, kept, strict=True):
        added = tuple(sorted(trial.names, key=order.__getitem__))
        nodes = (*config.skip_nodes, *added)
        rows.append(Budget(share, nodes, added, trial.macs_share, noise.worst_db, _figures(noise)))
    return tuple(rows)


def _advancing(progress: Meter) -> Callable[[int, int], None]:
    """Called with the runs that were done and those that are to come beside the known ones, moves ``progress`` on."""
    done = total = 0

    def advance(runs: int, more: int) -> None:
        nonlocal done, total
        done, total = done + runs, total + more
        progress.at(done, total)

    return advance
