"""The simulation in pieces: without rounding it is the float model, with a plan's the model that `ptq quantize` writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from ptq_core.analyze.chain import Alive, Chain
from ptq_core.analyze.pipeline import observed_values
from ptq_core.analyze.rounding import Rounding, rounding_of
from ptq_core.analyze.variants import Variants
from ptq_core.config import QuantizeConfig
from ptq_core.graph import io
from ptq_core.numerics.metrics import sqnr_db
from ptq_core.quantize.planning import Ranges, collect, prepare
from ptq_core.quantize.samples import KeepFirst
from tests.models import Builder, mobile_block, save
from tests.quantize.harness import run, samples

SHAPE = (3, 16, 16)
SAME_DB = 100.0
"""Nothing but the roundoff of float sums."""


def branches() -> onnx.ModelProto:
    """A residual that a float operator reads too, a Concat of unlike ranges, a Split, two readers of one value, a Pad."""
    b = Builder()
    b.nodes.append(onnx.helper.make_node("Relu", [b.conv("first", "input", 3, 8)], ["relu"], name="relu"))
    x = "relu"  # as exporters do it: a node and its output of one name
    y = b.conv("second", x, 8, 8)
    y = b.node("Add", "add", [x, y])
    z = b.node(
        "Mul",
        "small",
        [b.node("Exp", "exp", [b.node("Tanh", "tanh", [x])]), b.constant("s", np.float32(0.01))],
    )
    y = b.node("Concat", "concat", [y, z], axis=1)
    y = b.node("MaxPool", "pool", [y], kernel_shape=[2, 2], strides=[2, 2])
    y = b.conv("third", y, 16, 8, k=1)
    b.nodes.append(
        onnx.helper.make_node(
            "Split", [y, b.constant("sizes", np.array([3, 5]))], ["left", "right"], name="split", axis=1
        )
    )
    p = b.conv("fourth", "left", 3, 8)
    q = b.conv("fifth", "right", 5, 8)
    y = b.node("Add", "join", [p, q])
    return b.model(b.conv("last", b.node("GlobalAveragePool", "mean", [y]), 8, 5, k=1))


def variants_of(proto: onnx.ModelProto, folder: Path, **keys: Any) -> Variants:
    config = QuantizeConfig(model_dir=folder, save_model_path=folder / "out", **keys)
    prepared = prepare(io.load_model(save(proto, folder)), config, None)
    given = KeepFirst(samples(SHAPE), 1)
    statistics = collect(prepared, config, observed_values(prepared), given, None).statistics
    return Variants(prepared, Ranges(statistics, config), config)


def chain_of(variants: Variants, pieces: int = 4) -> Chain:
    proto = onnx.ModelProto.FromString(io.to_bytes(variants.prepared.model))
    return Chain(proto, range(0, len(proto.graph.node), max(1, len(proto.graph.node) // pieces)))


def simulated(chain: Chain, rounding: Rounding) -> Alive:
    return chain.program(rounding).outputs(0, {"input": np.stack(samples(SHAPE, 4, seed=2))})


def written(variants: Variants, nodes: tuple[str, ...] = ()) -> Any:
    """The output of the QDQ model for the same samples, each node on its own: fused ones step aside at ties."""
    model = onnx.ModelProto.FromString(variants.written_without(nodes))
    return run(model, np.stack(samples(SHAPE, 4, seed=2)), optimized=False)[0]


MODELS = {"mobile": mobile_block, "branches": branches}
KEYS: tuple[dict[str, Any], ...] = (
    {},
    {"is_full_quantize": True},
    {"is_full_quantize": True, "activation_symmetric": False},
    {"algo": "weight_only"},
    {"activation_bits": 6, "is_full_quantize": True},
    {"activation_bits": 16, "weight_bits": 16},
    {"weight_bits": 4, "weight_quantize_type": "abs_max"},
)


@pytest.mark.parametrize("pieces", [1, 3, 100])
@pytest.mark.parametrize("model", MODELS)
def test_without_rounding_it_is_the_float_model(tmp_path: Path, model: str, pieces: int) -> None:
    proto = MODELS[model]()
    (got,) = simulated(chain_of(variants_of(proto, tmp_path), pieces), Rounding()).values()
    assert sqnr_db(run(proto, np.stack(samples(SHAPE, 4, seed=2)))[0], got) > 100


@pytest.mark.parametrize("keys", KEYS, ids=str)
@pytest.mark.parametrize("model", MODELS)
def test_a_plan_is_simulated_as_it_is_written(tmp_path: Path, model: str, keys: dict[str, Any]) -> None:
    variants = variants_of(MODELS[model](), tmp_path, **keys)
    (got,) = simulated(chain_of(variants), rounding_of(variants.full)).values()
    assert sqnr_db(written(variants), got) > SAME_DB


@pytest.mark.parametrize("node", ["first", "second", "third", "fifth", "add", "concat"])
def test_a_plan_without_an_operator_is_simulated_as_it_is_written(tmp_path: Path, node: str) -> None:
    variants = variants_of(branches(), tmp_path, is_full_quantize=True)
    chain = chain_of(variants)
    (got,) = simulated(chain, variants.without([node])).values()
    (full,) = simulated(chain, rounding_of(variants.full)).values()
    wanted = written(variants, (node,))
    assert sqnr_db(wanted, got) > SAME_DB
    assert sqnr_db(wanted, full) < SAME_DB  # the comparison can fail


def test_from_the_first_difference_on_is_enough(tmp_path: Path) -> None:
    variants = variants_of(branches(), tmp_path, is_full_quantize=True)
    chain = chain_of(variants, 100)
    base = chain.program(rounding_of(variants.full))
    feed = {"input": np.stack(samples(SHAPE, 2))}
    starts = []
    for unit in variants.full.selection.units:
        changed = chain.program(variants.without([str(unit.node.name)]), like=base)
        start = changed.first_difference(base)
        assert start is not None
        alive: Alive = dict(feed)
        for index in range(start):
            alive, _ = base.step(index, alive)
        (behind,), (whole,) = changed.outputs(start, alive).values(), changed.outputs(0, feed).values()
        np.testing.assert_array_equal(behind, whole)
        starts.append(start)
    assert min(starts) == 0
    assert max(starts) > 8
