"""Every JSON that ptq writes is what its schema in ptq_core/schemas says, and a schema refuses what it should."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import ptq_core
from ptq_cli.main import run
from ptq_core.runtime import runtime_binary
from tests.bench.reports import case, device, report
from tests.bench.reports import save as save_report
from tests.models import mobile_block, save
from tests.pictures import save_pictures

FOLDER = Path(ptq_core.__file__).parent / "schemas"
SCHEMAS = {path.name.removesuffix(".schema.json"): path for path in sorted(FOLDER.glob("*.json"))}

QUANTIZE = [
    "quantize",
    "--model-dir",
    "fp32",
    "--image-dir",
    "pictures",
    "--cache-dir",
    "cache",
    "--is-use-cache-file",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, its quantized form, both as flat files, a cache, pictures with labels."""
    folder = tmp_path_factory.mktemp("schemas")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        save(mobile_block(), folder / "fp32")
        save_pictures(folder / "pictures", 3)
        (folder / "pictures" / "bad.png").write_bytes(b"")
        (folder / "labels.txt").write_text("pictures/0.png 1\npictures/1.png 2\n")
        (folder / "c.yaml").write_text("preprocess: {mean: [0.0], std: [1.0]}\n")
        for name, more in {
            "int8": ["--is-full-quantize"], "plain": ["--no-check"], "weights": ["--algo", "weight_only"],
            "int4": ["--weight-bits", "4", "--store-int4"],
        }.items():  # fmt: skip
            assert run([*QUANTIZE, "--skip-bad-images", "--save-model-path", name, *more]) == 0
        for name in ("fp32", "int8"):
            assert run(["opt", "--model-dir", name, "--optimize-out", name, "--no-verify"]) == 0
        save_report(Path("old.json"), report(device("phone", case())))
        save_report(Path("new.json"), report(device("phone", case())))
    return folder


def printed(*words: str) -> Callable[[pytest.CaptureFixture[str]], str]:
    """What the command ``words`` prints."""

    def document(capsys: pytest.CaptureFixture[str]) -> str:
        capsys.readouterr()
        assert run(list(words)) == 0
        return capsys.readouterr().out

    return document


def written(path: str) -> Callable[[pytest.CaptureFixture[str]], str]:
    """What lies in ``path``."""
    return lambda _: Path(path).read_text(encoding="utf-8")


def logged(capsys: pytest.CaptureFixture[str]) -> str:
    """The last line; tests/cli/test_spoken.py has all of every command."""
    capsys.readouterr()
    assert run(["show", "nothing.onnx", "--log-json"]) == 2
    return capsys.readouterr().err.splitlines()[-1]


def of_the_runtime(_: pytest.CaptureFixture[str]) -> str:
    words = ["--repeats=2", "--warmup=0", "--profile", "--json=b.json", "fp32.nb", "int8.nb"]
    subprocess.run([runtime_binary("host"), *words], check=True, capture_output=True)
    return Path("b.json").read_text(encoding="utf-8")


BENCH = (
    "bench",
    "--device",
    "local",
    "--fp32",
    "fp32.nb",
    "--int8",
    "int8.nb",
    "--repeats",
    "3",
    "--warmup",
    "0",
    "--json",
    "-",
)
needs_runtime = pytest.mark.needs("runtime")

DOCUMENTS = [
    *(("quantization", written(f"{name}/quantization.json")) for name in ("int8", "plain", "weights", "int4")),
    ("show_onnx", printed("show", "fp32/model.onnx", "--json")),
    ("show_onnx", printed("show", "int8/model.onnx", "--json")),
    pytest.param("show_flat_file", printed("show", "int8.nb", "--json"), marks=needs_runtime),
    ("show_flat_file", printed("show", "fp32.nb", "--json", "--kernels=false")),
    ("show_cache", lambda capsys: printed("show", str(*Path("cache").glob("*.npz")), "--json")(capsys)),
    ("eval", printed("eval", "--model", "fp32/model.onnx", "--labels", "labels.txt", "-c", "c.yaml", "--json", "-")),
    pytest.param("bench", printed(*BENCH, "--profile"), marks=needs_runtime),
    pytest.param("bench", printed(*BENCH, "--until-ci", "50", "--threads", "1,2"), marks=needs_runtime),
    ("bench", written("old.json")),
    ("compare", printed("bench", "--compare", "old.json", "new.json", "--json", "-")),
    ("log", logged),
    ("analysis", printed("analyze", "--model-dir", "fp32", "--image-dir", "pictures", "--skip-bad-images", "--json", "-")),
    pytest.param("benchmark_bin", of_the_runtime, marks=needs_runtime),
]  # fmt: skip


def schema(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(SCHEMAS[name].read_text(encoding="utf-8"))
    return loaded


@pytest.mark.parametrize(("name", "document"), DOCUMENTS)
def test_what_is_written_is_what_the_schema_says(
    name: str,
    document: Callable[[pytest.CaptureFixture[str]], str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    jsonschema.validate(json.loads(document(capsys)), schema(name), cls=jsonschema.Draft202012Validator)


def test_every_schema_is_one_and_has_a_document() -> None:
    tried = {getattr(row, "values", row)[0] for row in DOCUMENTS}
    assert tried == set(SCHEMAS)
    for name in SCHEMAS:
        jsonschema.Draft202012Validator.check_schema(schema(name))


@pytest.mark.parametrize("name", sorted(set(SCHEMAS) - {"log"}))
def test_objects_have_no_other_keys(name: str) -> None:
    """So that a key which is new in what is written must come into the schema."""
    refused = list(jsonschema.Draft202012Validator(schema(name)).iter_errors({"no such key": 1}))
    assert any(error.validator == "additionalProperties" for error in refused)
    assert any(error.validator == "required" for error in refused)
