#!/usr/bin/env python3
"""Builds the C++ runtime with the Clang of the Python package `ziglang` and installs it into ptq_core/_runtime/<abi>/.

    build_runtime.py --abi host,arm64-v8a,armeabi-v7a,x86_64 [--test [--skip-missing]] [--tailor NAME.tailor]

`host` gets libptq.so (for ctypes), benchmark_bin and show_bin; the others the programs, static, which run under `adb shell`.
With --tailor, libptq.so and benchmark_bin have only what one model needs and go to build/tailored/NAME/<abi>/.
Needs in the same Python environment ziglang, cmake and ninja, and NumPy for the operator tables (runtime/generate_operators.py).
With --test, the C++ tests run too, those of Arm under qemu-user on several CPUs.
With --skip-missing, an ABI whose tests cannot run here is left out, which is said.
Exit codes: 0 done, 1 a build or test failed, 2 wrong argument, 3 a tool is missing.
"""

from __future__ import annotations

import argparse
import fcntl
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from quietly import quietly
from tailor_runtime import TailoringError, read_needs, tailored_files

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "runtime"
INSTALL = ROOT / "ptq_core" / "_runtime"


@dataclass(frozen=True)
class Abi:
    """One row per thing that can be built; `machine` is what platform.machine() says where its programs run unaided."""

    triple: str
    machine: str
    artefacts: tuple[str, ...] = ("benchmark_bin", "show_bin")
    emulator: str = ""
    emulated_cpus: tuple[str, ...] = ()


ARM64_CPUS = ("cortex-a53", "cortex-a76", "max")  # plain NEON; + dot product; + i8mm
ABIS = {
    "arm64-v8a": Abi(
        "aarch64-linux-musl", "aarch64", emulator="qemu-aarch64-static", emulated_cpus=ARM64_CPUS
    ),
    "armeabi-v7a": Abi(
        "arm-linux-musleabihf",
        "armv7l",
        emulator="qemu-arm-static",
        emulated_cpus=("cortex-a7", "cortex-a15"),
    ),
    "x86_64": Abi("x86_64-linux-musl", "x86_64"),
}
# glibc 2.17 symbols: the library loads on every Linux of the last ten years.
HOST_TRIPLES = {"x86_64": "x86_64-linux-gnu.2.17", "aarch64": "aarch64-linux-gnu.2.17"}
APT_PACKAGES = {"qemu-aarch64-static": "qemu-user-static", "qemu-arm-static": "qemu-user-static"}


class MissingToolError(Exception):
    """Something that this script needs is not installed."""


def find_abi(name: str) -> Abi:
    if name != "host":
        return ABIS[name]
    machine = platform.machine()
    if machine not in HOST_TRIPLES:
        raise MissingToolError(f"no host build for {machine}: only {', '.join(HOST_TRIPLES)}")
    return Abi(HOST_TRIPLES[machine], machine, ("libptq.so", "benchmark_bin", "show_bin"))


def find_python_tool(name: str) -> str:
    """`name` of this Python's environment, else of PATH."""
    own = Path(sys.executable).parent / name
    found = str(own) if os.access(own, os.X_OK) else shutil.which(name)
    if found is None:
        raise MissingToolError(f"{name} is missing: {sys.executable} -m pip install {name}")
    return found


def check_tools() -> None:
    for package in ("ziglang", "numpy"):
        if importlib.util.find_spec(package) is None:
            raise MissingToolError(f"{package} is missing: {sys.executable} -m pip install {package}")
    find_python_tool("cmake")
    find_python_tool("ninja")


def find_emulator(abi: Abi) -> str:
    """How to run this ABI's programs here: "" directly."""
    if platform.machine() == abi.machine:
        return ""
    found = shutil.which(abi.emulator) if abi.emulator else None
    if found is None:
        wanted = abi.emulator or f"a {abi.machine} machine"
        package = APT_PACKAGES.get(abi.emulator)
        raise MissingToolError(
            f"{wanted} is missing to run the tests" + (f": apt install {package}" if package else "")
        )
    return found


def runnable(names: Sequence[str]) -> list[str]:
    """Those whose tests can run here; the others are said."""
    found = []
    for name in names:
        try:
            find_emulator(find_abi(name))
            found.append(name)
        except MissingToolError as error:
            print(f"not run: the C++ tests of {name}: {error}", flush=True)
    return found


@contextmanager
def locked(build_dir: Path) -> Iterator[None]:
    """Two builds in one folder wait for each other."""
    build_dir.mkdir(parents=True, exist_ok=True)
    with (build_dir / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build_environment(build_dir: Path) -> dict[str, str]:
    environment = dict(os.environ)
    for variable in ("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"):
        environment.setdefault(variable, str(build_dir / "zig-cache"))
    # cmake and ninja find each other, whichever environment this Python belongs to.
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")])
    return environment


def configure(
    abi: Abi, emulator: str | None, folder: Path, environment: dict[str, str], options: Sequence[str] = ()
) -> None:
    """Runs cmake unless the folder was configured with the same arguments; ninja notices changed CMake files itself."""
    static = abi.triple.endswith(("musl", "musleabihf"))
    command = [
        find_python_tool("cmake"), "-G", "Ninja", "-S", str(SOURCE), "-B", str(folder),
        f"-DCMAKE_TOOLCHAIN_FILE={SOURCE / 'cmake' / 'zig-toolchain.cmake'}",
        f"-DCMAKE_MAKE_PROGRAM={find_python_tool('ninja')}",
        f"-DPTQ_ZIG_TARGET={abi.triple}",
        f"-DPTQ_PYTHON={sys.executable}",
        f"-DPTQ_STATIC_EXECUTABLES={'ON' if static else 'OFF'}",
        f"-DPTQ_BUILD_SHARED={'OFF' if static else 'ON'}",
        "-DPTQ_BUILD_TESTS=ON",
        *options,
    ]  # fmt: skip
    if emulator:
        command.append(f"-DPTQ_EMULATOR={emulator}")
    stamp = folder / "configured"
    wanted = "\n".join(command)
    if stamp.exists() and (folder / "build.ninja").exists():
        had = stamp.read_text()
        # A folder that can also run tests serves a build without them.
        if had == wanted or (emulator is None and had.startswith(wanted + "\n-DPTQ_EMULATOR=")):
            return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    run(command, environment, folder.with_suffix(".log"), f"{folder.name}: configuring")
    stamp.write_text(wanted)


def run(command: list[str], environment: dict[str, str], log: Path, what: str) -> None:
    """Runs a command under the name `what`; its output goes to `log`, and to the terminal if it fails."""
    code = quietly(log, what, command, environment)
    if code != 0:
        raise subprocess.CalledProcessError(code, command)


def install(source: Path, target: Path) -> bool:
    """Copies if the content differs, by temporary name and rename: a running program keeps its file. True if copied."""
    content = source.read_bytes()
    if target.exists() and target.read_bytes() == content:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    temporary.write_bytes(content)
    temporary.chmod(0o755)
    temporary.replace(target)
    return True


def write_tailored(tailor: Path, folder: Path) -> None:
    """Writes what tailors a runtime into `folder`; files that are right already keep their time."""
    wanted = tailored_files(SOURCE, *read_needs(tailor))
    for old in folder.rglob("*"):
        if old.is_file() and str(old.relative_to(folder)) not in wanted:
            old.unlink()
    for name, text in wanted.items():
        path = folder / name
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


def build(name: str, build_dir: Path, install_dir: Path, test: bool, tailor: Path | None) -> None:
    abi = find_abi(name)
    emulator = find_emulator(abi) if test else None
    folder = build_dir / (name if tailor is None else f"{name}-{tailor.stem}")
    environment = build_environment(build_dir)
    artefacts, options = abi.artefacts, list[str]()
    if tailor is not None:
        sources = build_dir / f"{name}-{tailor.stem}-sources"
        write_tailored(tailor, sources)
        artefacts = tuple(artefact for artefact in artefacts if artefact != "show_bin")
        options = [f"-DPTQ_TAILORED={sources}"]
    configure(abi, emulator, folder, environment, options)
    ninja = [find_python_tool("ninja"), "-C", str(folder)]
    targets = ["ptq" if artefact == "libptq.so" else artefact for artefact in artefacts]
    run(
        ninja + ([] if test else targets),
        environment,
        folder.with_suffix(".log"),
        f"{name}: building the runtime",
    )
    for artefact in artefacts:
        target = install_dir / name / artefact
        changed = install(folder / artefact, target)
        print(
            f"{name}: {target} {target.stat().st_size} bytes{'' if changed else ' (unchanged)'}", flush=True
        )
    if test:
        run_tests(name, abi, emulator, folder, environment)


def run_tests(name: str, abi: Abi, emulator: str | None, folder: Path, environment: dict[str, str]) -> None:
    for cpu in abi.emulated_cpus if emulator else ("",):
        command = [str(Path(find_python_tool("cmake")).parent / "ctest"), "--test-dir", str(folder)]
        command += ["--output-on-failure", "--no-tests=error", "-j", str(os.cpu_count() or 1)]
        environment_there = {**environment, "QEMU_CPU": cpu} if cpu else environment
        run(command, environment_there, folder.with_suffix(".log"), f"{name}: tests on {cpu or 'this CPU'}")


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--abi", default="host", help=f"comma-separated, of host, {', '.join(ABIS)} (default: host)"
    )
    parser.add_argument("--test", action="store_true", help="build and run the C++ tests too")
    parser.add_argument(
        "--skip-missing", action="store_true", help="with --test: leave out what cannot run here"
    )
    parser.add_argument("--build-dir", type=Path, default=ROOT / "build" / "runtime")
    parser.add_argument("--install-dir", type=Path, help="default: ptq_core/_runtime, build/tailored/NAME")
    parser.add_argument("--tailor", type=Path, help="a file of `ptq opt --record-tailoring-info`")
    parsed = parser.parse_args(arguments)
    if parsed.tailor is not None and parsed.test:
        parser.error("--tailor and --test: the tests need every operator and kernel")
    if parsed.install_dir is None:
        parsed.install_dir = (
            INSTALL if parsed.tailor is None else ROOT / "build/tailored" / parsed.tailor.stem
        )
    parsed.abis = [name for name in parsed.abi.split(",") if name]
    unknown = [name for name in parsed.abis if name != "host" and name not in ABIS]
    if unknown or not parsed.abis:
        parser.error(f"--abi {parsed.abi}: choose of host, {', '.join(ABIS)}")
    return parsed


def main(arguments: list[str] | None = None) -> int:
    parsed = parse_arguments(arguments)
    build_dir = parsed.build_dir.resolve()
    try:
        check_tools()
        with locked(build_dir):
            for name in runnable(parsed.abis) if parsed.test and parsed.skip_missing else parsed.abis:
                build(name, build_dir, parsed.install_dir.resolve(), parsed.test, parsed.tailor)
    except MissingToolError as error:
        print(f"build_runtime.py: {error}", file=sys.stderr)
        return 3
    except TailoringError as error:
        print(f"build_runtime.py: {error}", file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as error:
        print(f"build_runtime.py: failed: {' '.join(error.cmd)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
