"""LSTM, GRU and RNN: they agree with onnxruntime, and their weights are stored once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ptq_core.errors import InputError
from ptq_core.optimize.pipeline import lower_to_program
from tests.optimize.graphs import Graph, Qdq, build
from tests.optimize.lowered import assert_agrees

STEPS, BATCH, WIDTH, HIDDEN = 7, 2, 5, 6
SEQUENCE = (STEPS, BATCH, WIDTH)
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def recurrent(op_type: str, *, bias: bool = True, started: bool = False, last: int = 0, **keys: Any) -> Graph:
    """``started`` from a computed state, and a peephole where there are any; the result is output ``last``, times 3."""

    def graph(b: Qdq) -> str:
        count = 2 if keys.get("direction") == "bidirectional" else 1
        rows = GATES[op_type] * HIDDEN
        inputs = ["input", b.weight("w", count, rows, WIDTH), b.weight("r", count, rows, HIDDEN)]
        inputs += [b.weight("b", count, 2 * rows) if bias else "", ""]
        if started:
            shape = (count, BATCH, HIDDEN)
            mean = b.node("ReduceMean", "mean", ["input"], keepdims=0)
            inputs.append(b.node("Mul", "h0", [b.weight("h", *shape), mean]))
            if op_type == "LSTM":
                inputs += [b.weight("c0", *shape), b.weight("p", count, 3 * HIDDEN)]
        names = ["op/y", "op/h", "op/c"][: 3 if op_type == "LSTM" else 2]
        b.node(op_type, "op", inputs, hidden_size=HIDDEN, **keys)
        del b.nodes[-1].output[:]
        b.nodes[-1].output.extend(name if i == last else "" for i, name in enumerate(names))
        return b.node("Mul", "scaled", [names[last], b.constant("three", np.float32(3))])

    return graph


CASES = {
    "lstm": recurrent("LSTM"),
    "lstm_without_bias": recurrent("LSTM", bias=False),
    "lstm_backwards": recurrent("LSTM", direction="reverse"),
    "lstm_both": recurrent("LSTM", direction="bidirectional", started=True),
    "lstm_last_state": recurrent("LSTM", direction="bidirectional", last=1),
    "lstm_last_cell": recurrent("LSTM", started=True, last=2),
    "lstm_activations": recurrent("LSTM", activations=["Sigmoid", "Softplus", "Relu"]),
    "gru": recurrent("GRU"),
    "gru_both": recurrent("GRU", direction="bidirectional", started=True),
    "gru_reset_behind": recurrent("GRU", linear_before_reset=1, direction="bidirectional"),
    "gru_reset_behind_started": recurrent("GRU", linear_before_reset=1, started=True, last=1),
    "rnn": recurrent("RNN", direction="bidirectional", started=True),
    "rnn_relu": recurrent("RNN", activations=["Relu"], direction="reverse", last=1),
}


@pytest.mark.parametrize("name", CASES)
def test_agrees(name: str) -> None:
    assert_agrees(CASES[name], SEQUENCE)


@pytest.mark.parametrize("op_type", GATES)
def test_weights_are_stored_once(op_type: str) -> None:
    sizes = []
    for steps in (3, 12):
        program = lower_to_program(
            build(recurrent(op_type, direction="bidirectional"), (steps, BATCH, WIDTH))
        )
        sizes.append(sum(t.elements for t in program.tensors if t.is_constant and t.elements > 1))
    assert sizes[0] == sizes[1]


def other_lengths(b: Qdq) -> str:
    inputs = ["input", b.weight("w", 1, 3 * HIDDEN, WIDTH), b.weight("r", 1, 3 * HIDDEN, HIDDEN), ""]
    inputs.append(b.constant("lengths", np.array([STEPS, 4], np.int32)))
    return b.node("GRU", "op", inputs, hidden_size=HIDDEN)


def computed_weights(b: Qdq) -> str:
    weights = b.node(
        "Mul", "w", [b.weight("w0", 1, 6 * 4, WIDTH), b.node("ReduceMax", "m", ["input"], keepdims=0)]
    )
    return b.node("LSTM", "op", ["input", weights, b.weight("r", 1, 6 * 4, HIDDEN)], hidden_size=HIDDEN)


REFUSED = {
    "other_lengths": (other_lengths, "other lengths than its input, 7: op"),
    "computed_weights": (computed_weights, "its weights is not a constant: op"),
    "clip": (recurrent("LSTM", clip=2.0), "it clips its gates"),
    "coupled": (recurrent("LSTM", input_forget=1), "are coupled"),
    "activations": (recurrent("RNN", activations=["Affine"]), "its activations are affine"),
}


def test_long_sequences_are_refused() -> None:
    with pytest.raises(InputError, match="1025 steps; at most 1024"):
        lower_to_program(build(recurrent("RNN"), (1025, 1, WIDTH)))


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    graph, said = REFUSED[name]
    with pytest.raises(InputError) as caught:
        lower_to_program(build(graph, SEQUENCE))
    assert said in str(caught.value)
