"""Top-1 and top-5 where every answer is known; and every way in which list, picture and model may not fit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from ptq_cli.main import run
from ptq_core.errors import InputError
from ptq_core.evaluate.accuracy import evaluate, top_classes
from ptq_core.evaluate.preprocess_file import load_preprocess
from ptq_core.optimize.pipeline import optimize
from ptq_core.options.preprocess import PreprocessOptions
from tests.evaluate.conftest import MakeModel

PREPROCESS = PreprocessOptions(resize=(2, 2))


@pytest.mark.parametrize("shape", [("n", 3, 2, 2), ("n", 3, "h", "w"), (1, 3, 2, 2), (3, 3, 2, 2)])
def test_hits_are_counted_for_open_and_fixed_batches(
    pictures: Path, brightest_channel: MakeModel, shape: tuple[int | str, ...]
) -> None:
    seen: list[tuple[int, int]] = []
    report = evaluate(
        brightest_channel(shape),
        pictures / "labels.txt",
        PREPROCESS,
        json_path=pictures / "out" / "accuracy.json",
        batch_size=3,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert (report.top1, report.top5, report.count) == (0.75, 1.0, 4)
    assert seen[-1] == (4, 4)
    document = json.loads((pictures / "out" / "accuracy.json").read_text(encoding="utf-8"))
    assert set(document) == {"schema", "model", "top1", "top5", "count", "seconds", "notes", "per_picture"}
    assert document["schema"] == 1
    assert document["per_picture"] == [0, 1, 2, 0]


@pytest.mark.parametrize("dtype", [onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE])
def test_a_model_of_other_floats(pictures: Path, brightest_channel: MakeModel, dtype: int) -> None:
    model = onnx.load(brightest_channel())
    model.graph.input[0].type.tensor_type.elem_type = dtype
    model.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("y", dtype, ["n", 3, 1, 1]))
    onnx.save(model, pictures / "other.onnx")
    report = evaluate(pictures / "other.onnx", pictures / "labels.txt", PREPROCESS)
    assert report.top1 == 0.75
    assert "is computed as float32" in report.notes[0]


def test_a_function_of_other_floats(pictures: Path, brightest_channel: MakeModel) -> None:
    model = onnx.load(brightest_channel())
    node, imports = onnx.helper.make_node, [onnx.helper.make_opsetid("", 17)]
    casts = [
        node("Cast", ["a"], ["b"], to=onnx.TensorProto.FLOAT16),
        node("Cast", ["b"], ["c"], to=onnx.TensorProto.FLOAT),
    ]
    model.functions.append(onnx.helper.make_function("f", "Half", ["a"], ["c"], casts, imports))
    model.opset_import.append(onnx.helper.make_opsetid("f", 1))
    model.graph.node.append(node("Half", [model.graph.output[0].name], ["halved"], domain="f"))
    model.graph.output[0].CopyFrom(
        onnx.helper.make_tensor_value_info("halved", onnx.TensorProto.FLOAT, ["n", 3, 1, 1])
    )
    onnx.save(model, pictures / "function.onnx")
    report = evaluate(pictures / "function.onnx", pictures / "labels.txt", PREPROCESS)
    assert "is computed as float32" in report.notes[0]


def test_functions_without_end_are_refused_before_they_are_inlined(
    pictures: Path, brightest_channel: MakeModel
) -> None:
    model = onnx.load(brightest_channel())
    imports = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("f", 1)]
    for level in range(60):
        called = (
            {"op_type": f"F{level + 1}", "domain": "f"} if level < 59 else {"op_type": "Relu", "domain": ""}
        )
        nodes = [
            onnx.helper.make_node(inputs=[x], outputs=[y], **called) for x, y in (("a", "b"), ("b", "c"))
        ]
        model.functions.append(onnx.helper.make_function("f", f"F{level}", ["a"], ["c"], nodes, imports))
    model.opset_import.append(onnx.helper.make_opsetid("f", 1))
    model.graph.node.append(onnx.helper.make_node("F0", [model.graph.output[0].name], ["called"], domain="f"))
    model.graph.output[0].name = "called"
    onnx.save(model, pictures / "endless.onnx")
    with pytest.raises(InputError, match="stand for"):
        evaluate(pictures / "endless.onnx", pictures / "labels.txt", PREPROCESS)


def test_data_outside_the_models_folder_is_refused(pictures: Path, brightest_channel: MakeModel) -> None:
    model = onnx.load(brightest_channel())
    tensor = model.graph.initializer.add(name="w", data_type=onnx.TensorProto.FLOAT, dims=[2])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../outside.bin")
    (pictures.parent / "outside.bin").write_bytes(bytes(8))
    onnx.save(model, pictures / "outside.onnx")
    with pytest.raises(InputError, match="outside its folder"):
        evaluate(pictures / "outside.onnx", pictures / "labels.txt", PREPROCESS)


def test_equal_scores_go_to_the_lowest_index_as_in_argmax() -> None:
    scores = np.array([[1, 3, 3, 0, 2, 2, 2], [0, 0, 0, 0, 0, 0, 0]], np.int8)
    assert top_classes(scores).tolist() == [[1, 2, 4, 5, 6], [0, 1, 2, 3, 4]]
    assert top_classes(scores)[:, 0].tolist() == scores.argmax(axis=1).tolist()
    assert top_classes(np.array([[-128, 127]], np.int8)).tolist() == [[1, 0]]


@pytest.mark.parametrize("name", ["bad.png", "bad.npy", "bad.npz", "empty.npz", "array.npy"])
def test_the_first_picture_of_open_sizes(pictures: Path, brightest_channel: MakeModel, name: str) -> None:
    model = brightest_channel(("n", 3, "h", "w"))
    (pictures / "bad.npy").write_bytes(b"")
    (pictures / "bad.npz").write_bytes(b"")
    np.savez(pictures / "empty.npz")
    np.save(pictures / "array.npy", np.zeros((3, 2, 2), np.float32))
    (pictures / "one.txt").write_text(f"{name} 0\n")
    if name == "array.npy":
        assert evaluate(model, pictures / "one.txt", PREPROCESS).count == 1
        return
    with pytest.raises(InputError, match=name):
        evaluate(model, pictures / "one.txt", PREPROCESS)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("red.png 3", "has the label 3"),
        ("red.png", "has no label"),
        ("red.png -1", "the label -1"),
        ("gone.png 0", "gone.png"),
        ("bad.png 0", "bad.png"),
    ],
)
def test_a_wrong_line_is_named(pictures: Path, brightest_channel: MakeModel, line: str, said: str) -> None:
    (pictures / "bad.png").write_bytes(b"\x89PNG no picture")
    (pictures / "labels.txt").write_text(f"green.png 1\n{line}\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        evaluate(brightest_channel(), pictures / "labels.txt", PREPROCESS, json_path=pictures / "out.json")
    assert said in caught.value.problem
    assert not (pictures / "out.json").exists()


@pytest.mark.parametrize(
    ("shape", "op_type", "said"),
    [
        (("n", 3, 5, 5), "GlobalAveragePool", "preprocessing makes [3, 2, 2]"),
        (("n", "c", 5, "w"), "GlobalAveragePool", "preprocessing makes [3, 2, 2]"),
        (("n", 12), "Relu", "preprocessing makes [3, 2, 2]"),
        (("n", 3, 2, 2), "Relu", "gives [4, 3, 2, 2] for 4 picture(s)"),
        (("n", 3, 2, 2), "NoSuchOp", "onnxruntime cannot load"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(
    pictures: Path, brightest_channel: MakeModel, shape: tuple[int | str, ...], op_type: str, said: str
) -> None:
    with pytest.raises(InputError) as caught:
        evaluate(brightest_channel(shape, op_type), pictures / "labels.txt", PREPROCESS)
    assert said in caught.value.problem


def test_nan_is_not_counted_as_an_answer(pictures: Path, brightest_channel: MakeModel) -> None:
    preprocess = PreprocessOptions(resize=(2, 2))
    object.__setattr__(preprocess, "mean", (float("nan"),) * 3)  # a configuration file cannot say that
    with pytest.raises(InputError, match=r"red\.png with NaN"):
        evaluate(brightest_channel(), pictures / "labels.txt", preprocess)


def test_only_preprocess_is_needed_but_every_key_is_checked(pictures: Path) -> None:
    assert load_preprocess(pictures / "config.yaml") == PREPROCESS
    (pictures / "config.yaml").write_text("batch_sise: 3\n", encoding="utf-8")
    with pytest.raises(InputError, match="batch_sise") as caught:
        load_preprocess(pictures / "config.yaml")
    assert "batch_size" in caught.value.fix


def command(pictures: Path, model: Path, *more: str) -> list[str]:
    flags = ["--labels", str(pictures / "labels.txt"), "--image_dir", str(pictures)]
    return ["eval", "--model", str(model), *flags, "-c", str(pictures / "config.yaml"), *more]


def test_the_command(pictures: Path, brightest_channel: MakeModel, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(command(pictures, brightest_channel(), "--json", str(pictures / "a.json"))) == 0
    out, err = capfd.readouterr()
    assert "top1   75.00% (3 of 4)\ntop5   100.00% (4 of 4)\ncount  4 pictures" in out
    assert err == ""
    assert (pictures / "a.json").exists()


def test_the_result_on_standard_output(
    pictures: Path,
    brightest_channel: MakeModel,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(pictures)
    assert run(command(pictures, brightest_channel(), "--json", "-")) == 0
    out, err = capfd.readouterr()
    assert json.loads(out)["top1"] == 0.75
    assert "top1   75.00% (3 of 4)" in err
    assert not (pictures / "-").exists()


@pytest.mark.parametrize(
    ("model", "more", "code", "said"),
    [
        ("model.pb", [], 2, "model.pb"),
        ("gone.onnx", [], 2, "gone.onnx: no such file"),
        ("model.onnx", ["--batch-size", "0"], 2, "--batch-size 0"),
        ("model.onnx", ["--threads", "0"], 2, "--threads 0"),
        ("net.nb", [], 3, "no libptq.so"),
    ],
)
def test_exit_codes(
    pictures: Path,
    brightest_channel: MakeModel,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    more: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.setenv("PTQ_RUNTIME_DIR", str(pictures / "nowhere"))
    brightest_channel()
    (pictures / "net.nb").write_bytes(b"")
    assert run(command(pictures, pictures / model, *more)) == code
    out, err = capfd.readouterr()
    assert out == ""
    assert said in err


def test_the_embedded_demo_is_as_accurate_as_its_page_says(digits: Path) -> None:
    report = evaluate(
        digits / "model" / "model.onnx",
        digits / "test_labels.txt",
        load_preprocess(digits / "quantize.yaml"),
        image_dir=digits / "test_images",
        batch_size=50,
    )
    assert report.top1 == 498 / 500


@pytest.mark.needs("runtime")
def test_our_runtime_answers_as_onnxruntime_does(digits: Path, tmp_path: Path) -> None:
    model, flat = digits / "model" / "model.onnx", tmp_path / "model.nb"
    optimize(model, flat, targets=("host",))
    labels = tmp_path / "labels.txt"
    lines = (digits / "test_labels.txt").read_text(encoding="utf-8").splitlines()[::5]
    labels.write_text("\n".join(lines), encoding="utf-8")
    answers = []
    for path in (model, flat):
        evaluate(
            path,
            labels,
            load_preprocess(digits / "quantize.yaml"),
            image_dir=digits / "test_images",
            json_path=tmp_path / "accuracy.json",
        )
        answers.append(json.loads((tmp_path / "accuracy.json").read_text(encoding="utf-8"))["per_picture"])
    assert answers[0] == answers[1]
    assert len(answers[0]) == 100
