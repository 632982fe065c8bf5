"""The cross-built benchmark_bin under qemu-user gives the bytes of this machine's for an int8 network."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ptq_core.flatfile.compressed import expand_weights
from ptq_core.flatfile.tensors import DType, Tensor
from ptq_core.flatfile.writer import write_program
from ptq_core.runtime import cpu_features, runtime_binary
from tests.digits import make_digits_models
from tests.flatfile.programs import compressed_program

pytestmark = pytest.mark.needs("qemu", "phones")

CPUS = [
    ("arm64-v8a", "qemu-aarch64-static", "cortex-a53"),
    ("arm64-v8a", "qemu-aarch64-static", "cortex-a76"),
    ("arm64-v8a", "qemu-aarch64-static", "max"),
    ("armeabi-v7a", "qemu-arm-static", "cortex-a7"),
    ("armeabi-v7a", "qemu-arm-static", "cortex-a15"),
    ("x86_64", "", ""),
]


@pytest.fixture(scope="module")
def int8_network(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo network without its Softmax, all int8 but the first quantize and the logits, as a flat file."""
    folder = tmp_path_factory.mktemp("arm")
    make_digits_models(digits, folder, full=True, batch_nums=2)
    x = np.random.default_rng(0).uniform(-1, 1, (1, 3, 32, 32)).astype(np.float32)
    (folder / "input.bin").write_bytes(x.tobytes())
    return folder


def output_bytes(
    folder: Path, abi: str, emulator: str, cpu: str, level: str = "", name: str = "int8"
) -> bytes:
    """The outputs' bytes; ``cpu`` is what qemu emulates, ``level`` the instruction set that is forced."""
    out = folder / f"{abi}_{cpu}_{level}.bin"
    command = [
        str(runtime_binary(abi)),
        "--warmup=0",
        "--repeats=1",
        "--result_filename=",
        f"--input={folder / 'input.bin'}",
    ]
    command += [f"--dump_output={out}", str(folder / f"{name}.nb")]
    if emulator:
        command.insert(0, emulator)
    environment = {**os.environ, "QEMU_CPU": cpu, "PTQ_CPU": level}
    subprocess.run(command, check=True, capture_output=True, env=environment, timeout=300)
    return out.read_bytes()


@pytest.mark.parametrize(("abi", "emulator", "cpu"), CPUS)
def test_same_bytes_as_this_machine(int8_network: Path, abi: str, emulator: str, cpu: str) -> None:
    here = output_bytes(int8_network, "host", "", "")
    assert len(here) == 10 * 4
    assert output_bytes(int8_network, abi, emulator, cpu) == here


@pytest.mark.parametrize(("abi", "emulator", "cpu"), CPUS)
def test_compressed_weights(tmp_path: Path, abi: str, emulator: str, cpu: str) -> None:
    """A file with i8 and i16 weights gives the bytes of the one with the float32 weights that they stand for."""
    small = compressed_program()
    whole = expand_weights(small)
    read = {index for op in whole.ops for index in op.reads}
    whole.tensors[:] = [
        tensor
        if not tensor.is_constant or index in read
        else Tensor(tensor.name, DType.F32, (1,), None, np.zeros(1, np.float32))
        for index, tensor in enumerate(whole.tensors)
    ]
    x = np.random.default_rng(0).uniform(-1, 1, (1, 8, 8, 32)).astype(np.float32)
    (tmp_path / "input.bin").write_bytes(x.tobytes())
    for name, program in (("small", small), ("whole", whole)):
        (tmp_path / f"{name}.nb").write_bytes(write_program(program))
    got = output_bytes(tmp_path, abi, emulator, cpu, name="small")
    assert len(got) == 5 * 4
    assert got == output_bytes(tmp_path, abi, emulator, cpu, name="whole")


@pytest.mark.needs("runtime")
def test_every_instruction_set_of_this_cpu_gives_the_same_bytes(int8_network: Path) -> None:
    levels = cpu_features().split()
    assert levels[0] == "scalar"
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    assert ("avx2" in levels) == ({"avx2", "fma"} <= set(flags))  # more than one, where the CPU has more
    outputs = {level: output_bytes(int8_network, "host", "", "", level) for level in levels}
    assert set(outputs.values()) == {outputs["scalar"]}
