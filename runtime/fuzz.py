#!/usr/bin/env python3
"""Fuzzes the flat file's loader: libFuzzer and AFL++, with the address and undefined-behaviour sanitizers.

    fuzz.py --engine libfuzzer|afl|both --seconds 1800 [--build-dir build/sanitize] [--coverage]

Two targets: `load` (any bytes) and `run` (a file that loads runs, on any input). The seconds are those of each engine: a quarter
for `load`, the rest for `run`. What was found stays in build/fuzz/: corpora, which the next run starts from, and findings.
Prints what was covered. Exit codes: 0 nothing found, 1 something found or a build failed, 2 wrong argument, 3 a tool is missing.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from build_runtime import MissingToolError, find_python_tool  # noqa: E402

from ptq_core.flatfile.writer import write_program  # noqa: E402
from tests.flatfile.generated import kinds_and_types, one_op_program  # noqa: E402

FOLDER = ROOT / "runtime" / "test" / "fuzz"
TARGETS = ("load", "run")
MAX_BYTES = 32768
TIMEOUT_SECONDS = 10
SEEDS_PER_OPERATOR = 4
COVERED = ("format", "program", "api.cc")

LIBFUZZER_OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=1:allocator_may_return_null=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}
AFL_OPTIONS = {
    "ASAN_OPTIONS": "abort_on_error=1:detect_leaks=0:symbolize=0:allocator_may_return_null=1",
    "UBSAN_OPTIONS": "abort_on_error=1:symbolize=0",
    "AFL_AUTORESUME": "1",
    "AFL_NO_UI": "1",
    "AFL_SKIP_CPUFREQ": "1",
    "AFL_NO_AFFINITY": "1",
    "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES": "1",
    "AFL_QUIET": "1",
}


def write_seeds(folder: Path) -> None:
    """The golden files, and a few programs of every operator and type."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    golden = ROOT / "tests" / "flatfile"
    for path in [
        *golden.glob("golden/*.nb"),
        *golden.glob("compat/*/*.nb"),
        *(FOLDER / "regressions").iterdir(),
    ]:
        shutil.copy(path, folder / f"{path.parent.name}_{path.name}")
    for kind, dtype in kinds_and_types():
        for seed in range(SEEDS_PER_OPERATOR):
            data = write_program(one_op_program(kind, dtype, np.random.default_rng([seed, kind.code, dtype])))
            (folder / f"{kind.name}_{dtype.label}_{seed}.nb").write_bytes(data)


def build(folder: Path, compiler: str, options: Sequence[str], targets: Sequence[str]) -> None:
    if shutil.which(compiler) is None:
        raise MissingToolError(f"{compiler} is missing: apt install clang-19 libclang-rt-19-dev")
    if not (folder / "build.ninja").exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = [
            find_python_tool("cmake"), "-G", "Ninja", "-S", str(ROOT / "runtime"), "-B", str(folder),
            f"-DCMAKE_MAKE_PROGRAM={find_python_tool('ninja')}", f"-DCMAKE_CXX_COMPILER={compiler}",
            "-DPTQ_BUILD_TESTS=ON", "-DPTQ_BUILD_SHARED=OFF", f"-DPTQ_PYTHON={sys.executable}", *options,
        ]  # fmt: skip
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    subprocess.run([find_python_tool("ninja"), "-C", str(folder), "--quiet", *targets], check=True)


def run_libfuzzer(target: str, programs: Path, seeds: Path, work: Path, limits: Sequence[str]) -> bool:
    """True if nothing was found."""
    corpus, findings = work / "corpus", work / "findings"
    corpus.mkdir(parents=True, exist_ok=True)
    findings.mkdir(exist_ok=True)
    command = [
        str(programs / f"{target}_libfuzzer"), "-seed=1", f"-max_len={MAX_BYTES}", f"-timeout={TIMEOUT_SECONDS}",
        "-rss_limit_mb=2048", f"-dict={FOLDER / 'flat_file.dict'}", f"-artifact_prefix={findings}/",
        "-print_final_stats=1", *limits, str(corpus), str(seeds),
    ]  # fmt: skip
    environment = {**os.environ, **LIBFUZZER_OPTIONS}
    result = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    said = result.stdout.decode("utf-8", "replace")
    last = re.findall(r"#(\d+)\s+\w+\s+cov: (\d+) ft: (\d+) corp: (\d+)/(\S+)", said)
    if result.returncode != 0 or not last:
        print(said[-6000:])
        print(f"libfuzzer {target}: found something; the input is in {findings}")
        return False
    executions, edges, features, inputs, size = last[-1]
    speed = re.findall(r"average_exec_per_sec:\s+(\d+)", said)
    print(
        f"libfuzzer {target}: clean after {executions} executions ({speed[-1]}/s): "
        f"{edges} edges, {features} features, corpus of {inputs} inputs, {size}"
    )
    return True


def run_afl(target: str, programs: Path, seeds: Path, work: Path, seconds: int) -> bool:
    """True if nothing was found."""
    if shutil.which("afl-fuzz") is None or not (programs / f"{target}_afl").exists():
        raise MissingToolError("AFL++ is missing: apt install afl++, then remove build/sanitize")
    out = work / "afl"
    out.mkdir(parents=True, exist_ok=True)
    command = [
        "afl-fuzz", "-i", str(seeds), "-o", str(out), "-V", str(seconds), "-s", "1", "-m", "none",
        "-t", str(1000 * TIMEOUT_SECONDS), "-G", str(MAX_BYTES), "-x", str(FOLDER / "flat_file.dict"),
        "--", str(programs / f"{target}_afl"),
    ]  # fmt: skip
    environment = {**os.environ, **AFL_OPTIONS}
    result = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    stats_file = out / "default" / "fuzzer_stats"
    if result.returncode != 0 or not stats_file.exists():
        print(result.stdout.decode("utf-8", "replace")[-6000:])
        print(f"afl {target}: did not run")
        return False
    lines = (line.split(":", 1) for line in stats_file.read_text().splitlines())
    stats = {key.strip(): value.strip() for key, value in lines}
    clean = stats["saved_crashes"] == stats["saved_hangs"] == "0"
    print(
        f"afl {target}: {'clean' if clean else 'FOUND SOMETHING, see ' + str(out)} after {stats['execs_done']} executions "
        f"({float(stats['execs_per_sec']):.0f}/s): {stats['edges_found']} of {stats['total_edges']} edges, "
        f"corpus of {stats['corpus_count']} inputs, stability {stats['stability']}, "
        f"{stats['saved_crashes']} crashes, {stats['saved_hangs']} hangs"
    )
    return clean


def report_lines(folder: Path, work: Path, seeds: Path, compiler: str) -> None:
    """The lines of the loader that the corpora of all engines reach."""
    build(folder, compiler, ["-DPTQ_COVERAGE=ON"], [f"{target}_replay" for target in TARGETS])
    profiles, programs = [], []
    for target in TARGETS:
        program = folder / "test" / "fuzz" / f"{target}_replay"
        profile = folder / f"{target}.profraw"
        corpora = [seeds, work / target / "corpus", work / target / "afl" / "default" / "queue"]
        command = [str(program), *(str(corpus) for corpus in corpora if corpus.is_dir())]
        subprocess.run(command, env={**os.environ, "LLVM_PROFILE_FILE": str(profile)}, check=True)
        profiles.append(str(profile))
        programs.append(str(program))
    merged = folder / "merged.profdata"
    subprocess.run(["llvm-profdata-19", "merge", *profiles, "-o", str(merged)], check=True)
    sources = [str(ROOT / "runtime" / "src" / name) for name in COVERED]
    command = ["llvm-cov-19", "report", programs[0], "-object", programs[1], f"-instr-profile={merged}"]
    subprocess.run([*command, "--show-branch-summary=false", *sources], check=True)


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--engine", choices=("libfuzzer", "afl", "both"), default="both")
    parser.add_argument("--target", choices=(*TARGETS, "both"), default="both")
    parser.add_argument("--seconds", type=int, default=60, help="of each engine")
    parser.add_argument("--runs", type=int, help="libFuzzer: so many executions instead of seconds")
    parser.add_argument("--fresh", action="store_true", help="start from the seeds alone, and keep nothing")
    parser.add_argument("--coverage", action="store_true", help="report the lines reached (needs llvm-19)")
    parser.add_argument("--compiler", default="clang++-19")
    parser.add_argument("--build-dir", type=Path, default=ROOT / "build" / "sanitize")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    parsed = parse_arguments(arguments)
    engines = ("libfuzzer", "afl") if parsed.engine == "both" else (parsed.engine,)
    targets = TARGETS if parsed.target == "both" else (parsed.target,)
    work = ROOT / "build" / "fuzz" / ("fresh" if parsed.fresh else "kept")
    seeds = ROOT / "build" / "fuzz" / "seeds"
    clean = True
    try:
        options = ["-DPTQ_SANITIZE=address,undefined", "-DPTQ_FUZZ=ON"]
        wanted = [f"{target}_{engine}" for target in targets for engine in engines]
        build(parsed.build_dir, parsed.compiler, options, wanted)
        if parsed.fresh:
            shutil.rmtree(work, ignore_errors=True)
        write_seeds(seeds)
        programs = parsed.build_dir / "test" / "fuzz"
        for engine in engines:
            for target in targets:
                share = {"load": 0.25, "run": 0.75}[target] if len(targets) > 1 else 1.0
                seconds = max(int(parsed.seconds * share), 1)
                if engine == "afl":
                    clean &= run_afl(target, programs, seeds, work / target, seconds)
                    continue
                limit = f"-runs={parsed.runs}" if parsed.runs else f"-max_total_time={seconds}"
                clean &= run_libfuzzer(target, programs, seeds, work / target, [limit])
        if parsed.coverage:
            report_lines(ROOT / "build" / "coverage", work, seeds, parsed.compiler)
    except MissingToolError as error:
        print(f"fuzz.py: {error}", file=sys.stderr)
        return 3
    except subprocess.CalledProcessError as error:
        print(f"fuzz.py: failed: {' '.join(error.cmd)}", file=sys.stderr)
        return 1
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
