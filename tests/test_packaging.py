"""The source archive and the wheel carry what they should, and what is in the wheel finds it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from ptq_core import carried, runtime, runtime_build
from ptq_core.config import load_config
from ptq_core.errors import DeviceError, InputError
from ptq_core.version import VERSION
from tests.needs import ROOT, not_here

NOT_PACKED = (".gitattributes",)


def python(*arguments: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def built(what: str, source: Path, target: Path) -> Path:
    """What setuptools makes of the folder ``source``, without a runtime."""
    target.mkdir()
    code = f"from setuptools import build_meta; build_meta.build_{what}({str(target)!r})"
    done = python("-c", code, cwd=source, PTQ_ABIS="none")
    assert done.returncode == 0, done.stderr
    (path,) = target.iterdir()
    return path


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive, unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(built("sdist", ROOT, folder / "dist")) as packed:
        packed.extraction_filter = getattr(
            tarfile, "data_filter", lambda member, _: member
        )  # none before 3.11.4
        packed.extractall(folder)
    (found,) = folder.glob("ptq-*")
    return found


@pytest.fixture(scope="module")
def site(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel made of a checkout, as it lies in an environment; it has no runtime."""
    folder = tmp_path_factory.mktemp("wheel")
    checkout = Path(shutil.copytree(archive, folder / "checkout"))
    shutil.rmtree(checkout / "runtime" / "generated")
    wheel = built("wheel", checkout, folder / "dist")
    assert wheel.name.startswith("ptq-")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder / "site")
    return folder / "site"


def tracked(*folders: str) -> list[str]:
    """What git knows in these folders."""
    done = subprocess.run(
        ["git", "ls-files", *folders], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        not_here("no git repository")
    return [name for name in done.stdout.splitlines() if (ROOT / name).exists()]


def test_the_source_archive_has_every_file(archive: Path) -> None:
    files = [name for name in tracked() if name not in NOT_PACKED]
    assert [name for name in files if not (archive / name).is_file()] == []
    assert (archive / "runtime" / "generated" / "operators.h").is_file()
    assert os.access(archive / "scripts" / "run_post_training_quantization.sh", os.X_OK)


def test_two_builds_are_one(archive: Path, tmp_path: Path) -> None:
    """Of sources with other times, and on another day."""
    wheels: list[bytes] = []
    for name in ("one", "other"):
        checkout = Path(shutil.copytree(archive, tmp_path / name / "source"))
        for path in checkout.rglob("*"):
            os.utime(path, (len(wheels) * 10**8, 10**9 + len(wheels) * 10**8))
        wheels.append(built("wheel", checkout, tmp_path / name / "dist").read_bytes())
    assert wheels[0] == wheels[1]


def test_the_bill_of_materials(site: Path) -> None:
    (path,) = site.glob("ptq-*.dist-info/sboms/ptq.cdx.json")
    bill = json.loads(path.read_text(encoding="utf-8"))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["component"]["version"] == VERSION
    assert bill["metadata"]["component"]["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    assert {"onnx", "onnx-ir", "numpy", "click"} <= {part["name"] for part in bill["components"]}
    (record,) = site.glob("ptq-*.dist-info/RECORD")
    assert "sboms/ptq.cdx.json" in record.read_text()


def test_the_bill_has_every_binary_with_its_hash(tmp_path: Path) -> None:
    library = tmp_path / "ptq_core" / "_runtime" / "host" / "libptq.so"
    library.parent.mkdir(parents=True)
    library.write_bytes(b"\x7fELF")
    code = "import json, setup, pathlib, sys; from setuptools import Distribution; "
    code += "print(json.dumps(setup.bill_of_materials(Distribution({'name': 'x', 'version': '1', 'license': 'MIT'}), "
    code += "pathlib.Path(sys.argv[1]))))"
    run = (
        "import setuptools; setuptools.setup = lambda **_: None; import sys; sys.path.insert(0, '.'); " + code
    )
    done = python("-c", run, str(tmp_path / "ptq_core"), cwd=ROOT)
    assert done.returncode == 0, done.stderr
    (part,) = json.loads(done.stdout)["components"]
    assert part["name"] == "ptq_core/_runtime/host/libptq.so"
    assert part["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(b"\x7fELF").hexdigest()}]


def test_the_wheel_has_our_names_alone(site: Path) -> None:
    names = {path.name for path in site.iterdir()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"ptq_cli", "ptq_core"}


def test_the_wheel_has_every_module_and_what_it_carries(site: Path) -> None:
    modules = [name.replace("cli/", "ptq_cli/", 1) for name in tracked("cli")] + tracked("ptq_core")
    others = [f"ptq_core/_carried/{name}" for name in tracked("configs", "runtime", "scripts")]
    assert "ptq_core/_carried/runtime/include/ptq/ptq.h" in others
    assert "ptq_core/bench/export/page.html" in modules
    assert "ptq_core/analyze/export/page.html" in modules
    assert "ptq_core/analyze/export/page.js" in modules
    assert "ptq_core/pages/style.css" in modules
    others.append("ptq_core/_carried/runtime/generated/operators.h")
    assert [name for name in modules + others if not (site / name).is_file()] == []
    assert os.access(site / "ptq_core/_carried/scripts/run_post_training_quantization.sh", os.R_OK)


def test_a_recipe_is_found_by_name_from_the_wheel(site: Path, digits: Path, tmp_path: Path) -> None:
    flags = [
        "--model-dir",
        digits / "model",
        "--image-dir",
        digits / "calibration_images",
        "--resize",
        "32,32",
    ]
    flags += [
        "--mean",
        "127.5",
        "--std",
        "127.5",
        "--batch-nums",
        "1",
        "--no-check",
        "--save-model-path",
        "int8",
    ]
    done = python("-m", "ptq_cli", "quantize", "-c", "fast", *flags, cwd=tmp_path, PYTHONPATH=str(site))
    assert done.returncode == 0, done.stderr
    assert '"algo": "mse"' in (tmp_path / "int8" / "quantization.json").read_text()
    done = python("-c", "import ptq_cli; print(ptq_cli.__file__)", cwd=tmp_path, PYTHONPATH=str(site))
    assert done.stdout.strip() == str(site / "ptq_cli" / "__init__.py")


def test_a_wheel_says_how_to_get_a_runtime(site: Path, tmp_path: Path) -> None:
    code = "from ptq_core.runtime import runtime_binary; runtime_binary('{}')"
    for abi, words in (
        ("arm64-v8a", "python -m ptq_core.runtime_build arm64-v8a"),
        ("host", "install ptq again"),
    ):
        done = python(
            "-c", code.format(abi), cwd=tmp_path, PYTHONPATH=str(site), XDG_CACHE_HOME=str(tmp_path)
        )
        assert words in done.stderr


@pytest.mark.parametrize("name", sorted(carried.recipes()))
def test_recipes_have_names(name: str) -> None:
    needed = {"model_dir": "m", "save_model_path": "s"}
    assert load_config(Path(name), needed) == load_config(ROOT / "configs/recipes" / f"{name}.yaml", needed)


def test_a_file_comes_before_a_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("accurate").write_text("model_dir: mine\nsave_model_path: s\n")
    assert load_config(Path("accurate")).model_dir == Path("mine")
    with pytest.raises(InputError) as caught:
        load_config(Path("accurat"))
    assert "recipes: accurate, fast, per_tensor" in caught.value.fix


@pytest.fixture
def nothing_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """As from a wheel, with a builder that notes its command lines and makes the program."""
    monkeypatch.delenv(runtime.RUNTIME_DIR_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for module in (runtime, runtime_build):
        monkeypatch.setattr(module, "IS_CHECKOUT", False)
    monkeypatch.setattr(runtime, "__file__", str(tmp_path / "package" / "runtime.py"))
    monkeypatch.setattr(runtime, "built_runtimes", lambda: tmp_path / "cache")
    monkeypatch.setattr(runtime_build, "built_runtimes", lambda: tmp_path / "cache")
    commands: list[list[str]] = []

    def build(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        program = Path(command[command.index("--install-dir") + 1]) / command[command.index("--abi") + 1]
        program.mkdir(parents=True)
        (program / "benchmark_bin").touch()
        return subprocess.CompletedProcess(command, 0, "")

    monkeypatch.setattr(subprocess, "run", build)
    return commands


def test_a_runtime_is_built_once_when_it_is_wanted(nothing_built: list[list[str]], tmp_path: Path) -> None:
    said: list[str] = []
    path = runtime_build.ensure_runtime("arm64-v8a", "benchmark_bin", said.append)
    assert path == tmp_path / "cache" / "arm64-v8a" / "benchmark_bin"
    assert [line.split(" in ")[0] for line in said] == [
        f"building the runtime for arm64-v8a: {runtime_build.TIME_TAKEN}",
        "built the runtime for arm64-v8a",
    ]
    assert runtime_build.ensure_runtime("arm64-v8a", "benchmark_bin", said.append) == path
    assert len(nothing_built) == 1


def test_what_cannot_be_built_says_why(
    nothing_built: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for abi in ("host", "x86"):
        with pytest.raises(DeviceError, match=f"no benchmark_bin for {abi}"):
            runtime_build.ensure_runtime(abi, "benchmark_bin", print)
    monkeypatch.setattr(runtime_build, "TOOLS", ("cmake", "no_such_tool"))
    with pytest.raises(DeviceError, match=r"nothing to build it with: no_such_tool") as caught:
        runtime_build.ensure_runtime("arm64-v8a", "benchmark_bin", print)
    assert "ptq[build]" in caught.value.fix
    assert nothing_built == []


def test_a_build_that_fails_shows_its_last_words(
    nothing_built: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "\n".join(f"line {i}" for i in range(20))
    failed = subprocess.CompletedProcess[str]([], 1, words)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(DeviceError, match=r"could not be built:\n  line 12\n[\s\S]*line 19"):
        runtime_build.ensure_runtime("x86_64", "benchmark_bin", lambda _: None)


def test_an_override_is_never_built_into(
    nothing_built: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(runtime.RUNTIME_DIR_VARIABLE, str(tmp_path / "own"))
    with pytest.raises(DeviceError, match="no benchmark_bin for x86_64"):
        runtime_build.ensure_runtime("x86_64", "benchmark_bin", print)
    assert nothing_built == []
