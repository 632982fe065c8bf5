"""Damage to ONNX models: other values in their fields; graphs that are deep, long or double."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import onnx
from google.protobuf.message import Message
from onnx import TensorProto, helper

from tests.attack.mutations import NUMBERS, REALS, WORDS, Random, pick


def edit_fields(data: bytes, random: Random) -> bytes:
    """One to three fields get another value, are removed, doubled, or take another's place."""
    model = onnx.ModelProto.FromString(data)
    messages = list(_messages(model))
    for _ in range(random.integers(1, 4)):
        message = pick(messages, random)
        fields = message.ListFields()
        if fields:
            field, value = pick(fields, random)
            _edit(message, field, value, random)
    return model.SerializeToString()


def _edit(message: Message, field: Any, value: Any, random: Random) -> None:
    choices = {str: WORDS, int: NUMBERS, float: REALS}
    try:
        if isinstance(value, str | int | float) and random.integers(4):
            setattr(message, field.name, pick(choices[type(value)], random))
        elif isinstance(value, str | int | float | bytes | Message):
            message.ClearField(field.name)
        else:
            _edit_list(value, choices, random)
    except (ValueError, TypeError):  # a number that the field does not hold
        message.ClearField(field.name)


def _edit_list(values: Any, choices: dict[type, Any], random: Random) -> None:
    at = int(random.integers(len(values)))
    kind = type(values[at])
    action = random.integers(3)
    if action == 0:
        del values[at]
    elif action == 1:
        values.append(values[at])
    elif kind in choices:
        values[at] = pick(choices[kind], random)
    else:
        other = int(random.integers(len(values)))
        kept = [values[at], values[other]]
        values[at], values[other] = reversed(kept) if not isinstance(kept[0], Message) else kept
        if isinstance(kept[0], Message):
            values[at].CopyFrom(values[other])


def _messages(message: Message) -> Iterator[Message]:
    yield message
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for inner in (value,) if isinstance(value, Message) else value:
                yield from _messages(inner)


def nest(data: bytes, random: Random) -> bytes:
    """Deep, long or wide graphs around or behind the model."""
    model = onnx.ModelProto.FromString(data)
    size = int(pick((2, 20, 90, 300, 2000), random))
    return pick((_ifs, _concats, _chain, _types, _duplicates, _functions), random)(model, size)


def _ifs(model: onnx.ModelProto, depth: int) -> bytes:
    """Branches in branches; protobuf reads about 100 messages in each other."""
    value = helper.make_tensor_value_info("t", TensorProto.FLOAT, None)
    graph = helper.make_graph([helper.make_node("Identity", ["input"], ["t"])], "leaf", [], [value])
    other = helper.make_graph(list(graph.node), "other", [], [value])
    model.graph.initializer.append(helper.make_tensor("cond", TensorProto.BOOL, [], [1]))
    for level in range(min(depth, 28)):
        node = helper.make_node("If", ["cond"], ["t"], f"if{level}", then_branch=graph, else_branch=other)
        graph = helper.make_graph([node], f"g{level}", [], [value])
    model.graph.node.extend(graph.node)
    return model.SerializeToString()


def _concats(model: onnx.ModelProto, count: int) -> bytes:
    """A list that doubles: its length is 2^count."""
    model.graph.initializer.append(helper.make_tensor("c0", TensorProto.INT64, [2], [1, 1]))
    for i in range(min(count, 300)):
        model.graph.node.append(helper.make_node("Concat", [f"c{i}", f"c{i}"], [f"c{i + 1}"], axis=0))
    return model.SerializeToString()


def _chain(model: onnx.ModelProto, count: int) -> bytes:
    last = model.graph.output[0].name
    for i in range(count):
        model.graph.node.append(helper.make_node("Relu", [last], [f"r{i}"]))
        last = f"r{i}"
    model.graph.output[0].name = last
    return model.SerializeToString()


def _types(model: onnx.ModelProto, depth: int) -> bytes:
    """A sequence of sequences of … as an input."""
    value = model.graph.input.add(name="deep")
    kind = value.type
    for _ in range(min(depth, 400)):
        kind = kind.sequence_type.elem_type
    kind.tensor_type.elem_type = TensorProto.FLOAT
    return model.SerializeToString()


def _duplicates(model: onnx.ModelProto, count: int) -> bytes:
    """Nodes, constants or outputs many times over, under one name."""
    for _ in range(min(count, 90)):
        model.graph.node.append(model.graph.node[0])
        model.graph.initializer.append(model.graph.initializer[0])
        model.graph.output.append(model.graph.output[0])
    return model.SerializeToString()


def _functions(model: onnx.ModelProto, count: int) -> bytes:
    """Functions that call the next one twice: 2^count nodes, and with an odd count the last calls the first."""
    depth = min(count, 60)
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
    for i in range(depth):
        last = i == depth - 1
        domain = "" if last and count % 2 == 0 else "f"
        name = "Relu" if domain == "" else f"f{(i + 1) % depth}"
        nodes = [
            helper.make_node(name, ["a"], ["b"], domain=domain),
            helper.make_node(name, ["b"], ["c"], domain=domain),
        ]
        model.functions.append(helper.make_function("f", f"f{i}", ["a"], ["c"], nodes, imports))
    model.opset_import.append(helper.make_opsetid("f", 1))
    last_name = model.graph.output[0].name
    model.graph.node.append(helper.make_node("f0", [last_name], ["called"], domain="f"))
    model.graph.output[0].name = "called"
    return model.SerializeToString()
