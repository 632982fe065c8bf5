"""The table of attacks: what each damages or takes away, and which commands then run."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptq_cli.main import load_command
from tests.attack import mutations
from tests.attack.judge import GOOD, STOPPED
from tests.attack.model_mutations import edit_fields, nest
from tests.attack.mutations import HOSTILE, NUMBERS, Mutation, Random, pick
from tests.attack.nest import Order
from tests.attack.world import COMMANDS, environment

MOST_MEMORY = 3 << 30
"""Bytes that a command may take beyond what it begins with."""


@dataclass(frozen=True)
class Try:
    """``order`` with what is right for it. ``again``: the command is run once more, whole, and must make what it always makes."""

    name: str
    order: Order
    codes: frozenset[int] = GOOD
    makes: Sequence[str] = ()
    again: bool = False


@dataclass(frozen=True)
class Attack:
    """``what`` is damaged in a copy of the world, by ``prepare``, which says what is then run."""

    what: str
    prepare: Callable[[Path, Random], Try]


def run(
    name: str,
    folder: Path,
    *more: str,
    codes: frozenset[int] = GOOD,
    again: bool = False,
    lie: Mapping[str, str] | None = None,
    limits: Mapping[str, int] | None = None,
    **changes: Any,
) -> Try:
    """The command ``name`` of the world, with ``more`` words, in ``folder``; ``changes`` are those of its `Order`."""
    words, makes = COMMANDS[name]
    order = Order(
        [*words, *more],
        str(folder),
        {**environment(folder), **(lie or {})},
        limits={"RLIMIT_AS": MOST_MEMORY, **(limits or {})},
        **changes,
    )
    return Try(name, order, codes, makes, again)


def damaged(what: str, file: str, mutate: Mutation | Sequence[Mutation], *commands: str) -> Attack:
    """``file`` (a pattern: one of those that it finds) is damaged."""
    ways = [mutate] if callable(mutate) else list(mutate)

    def prepare(folder: Path, random: Random) -> Try:
        path = pick(sorted(folder.glob(file)), random)
        path.write_bytes(pick(ways, random)(path.read_bytes(), random))
        name = pick(commands, random)
        return run(name, folder, *_variant(name, random))

    return Attack(what, prepare)


def _variant(name: str, random: Random) -> list[str]:
    """Flags that lead a good command other ways."""
    if name != "quantize":
        return []
    ways: tuple[list[str], ...] = (
        [],
        [],
        ["--is-full-quantize"],
        ["--algo", "abs_max"],
        ["--algo", "weight_only"],
        ["--bias-correction"],
        ["--equalize"],
        ["--deploy", "onnxruntime-x86"],
        ["--skip-bad-images"],
        ["--round-type", "adaround"],
        ["--weight-bits", "4"],
    )
    return [*pick(ways, random), *pick(([], ["--is-use-cache-file=false"]), random)]


def _external(folder: Path, random: Random) -> Try:
    import onnx

    model = onnx.load(str(folder / "m.onnx"))
    onnx.save(model, str(folder / "m.onnx"), save_as_external_data=True, location="m.data", size_threshold=0)
    data = folder / "m.data"
    action = int(random.integers(5))
    if action == 0:
        data.write_bytes(mutations.any_bytes(data.read_bytes(), random))
    elif action == 1:
        _make_special(data, random)
    elif action == 2:
        model = onnx.load(str(folder / "m.onnx"), load_external_data=False)
        entry = pick(pick(model.graph.initializer, random).external_data, random)
        entry.value = str(pick((*HOSTILE, *NUMBERS, "/dev/zero", "/proc/self/mem", "pictures"), random))
        onnx.save(model, str(folder / "m.onnx"))
    elif action == 3:
        path = folder / "m.onnx"
        path.write_bytes(edit_fields(path.read_bytes(), random))
    else:
        data.unlink()
    name = pick(("quantize", "opt", "eval", "show", "opt to ONNX"), random)
    return run(name, folder, *_variant(name, random))


def _make_special(path: Path, random: Random) -> None:
    """``path`` is no longer a file."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    kind = int(random.integers(7))
    targets = ("/dev/zero", "/dev/null", path.name, "nowhere", "/proc/self/environ")
    if kind < len(targets):
        path.symlink_to(targets[kind])
    elif kind == len(targets):
        os.mkfifo(path)
    else:
        path.mkdir()


READ = {
    **dict.fromkeys(
        ("quantize", "analyze"), ("m.onnx", "c.yaml", "pictures", "pictures/1.png", "cache", "cache/*.npz")
    ),
    "opt int8": ("q", "q/model.onnx"),
    "eval": ("m.onnx", "c.yaml", "labels.txt", "pictures/1.png"),
    "eval int8": ("q.nb", "c.yaml", "labels.txt", "pictures/1.png"),
    "bench": ("m.nb", "q.nb"),
    "bench phone": ("m.nb", "q.nb", "adb"),
    "bench report": ("b.json",),
    "bench compare": ("b.json", "b2.json"),
    **dict.fromkeys(("opt", "opt to ONNX", "opt operators", "show"), ("m.onnx",)),
    **dict.fromkeys(("opt kernels", "opt drawing", "show flat"), ("q.nb",)),
    "show int8": ("q/model.onnx",),
    "show cache": ("cache.npz",),
}
"""Command → what it reads."""


def _special(folder: Path, random: Random) -> Try:
    name = pick(tuple(COMMANDS), random)
    made = [path.removeprefix("out/") for path in COMMANDS[name][1]]
    if made and random.integers(4) == 0:
        target = folder / "out" / pick(made, random)
        target.parent.mkdir(exist_ok=True)
    else:
        target = pick(sorted(folder.glob(pick(READ[name], random))), random)
    _make_special(target, random)
    return run(name, folder)


BOUNDED = {
    "--repeats": "3",
    "--warmup": "2",
    "--cool-down": "0.1",
    "--max-seconds": "1",
    "--timeout": "5",
    "--until-ci": "50",
}
"""Flags that ask for time: a long answer to them is no fault."""

FREE = {"--model-set-dir", "--keep"}


def _words(folder: Path, random: Random) -> Try:
    """Flags and values that nobody meant, behind a command that works."""
    name = pick(tuple(COMMANDS), random)
    program = load_command(COMMANDS[name][0][0])
    flags = [flag for parameter in program.params for flag in parameter.opts if flag.startswith("-")]
    values = (
        *HOSTILE,
        *map(str, NUMBERS),
        "m.onnx",
        "q.nb",
        "c.yaml",
        "pictures",
        "1,3,16,16",
        "input:1,3,16,16",
        "a,b",
        "[1]",
        "nan",
        "1e400",
        "true",
        "KL",
        "abs_max",
        "arm",
        "host,x86",
        "local",
        "q",
        "b.json",
        "0.5",
        "accurate",
    )
    more: list[str] = []
    for _ in range(int(random.integers(1, 4))):
        flag = pick(flags, random)
        more.append(flag)
        if random.integers(8):
            value = BOUNDED.get(flag) or pick(values, random)
            more.append(value.replace("\0", "0"))  # no command line holds it
    if random.integers(6) == 0:
        more = [pick(values, random).replace("\0", "0")]
    made = run(name, folder, *more, codes=GOOD | {4})
    return Try(name, made.order, made.codes)


LIES = (
    "exit 1",
    "exit 0",
    "kill -9 $$",
    "echo; exit 0",
    "printf '\\033[2J\\033]0;t\\007error: \\033[31m\\n' >&2; exit 1",
    "head -c 100000000 /dev/zero; exit 0",
    "head -c 3000000 /dev/urandom; exit 0",
    "yes 'List of devices attached' | head -c 9000000; exit 0",
    "printf 'List of devices attached\\n\\033[31mR58M\\tdevice\\n$(id)\\tdevice\\n'; exit 0",
    "printf '{\"schema\": 2}\\n'; exit 0",
    "printf 'ptq-0000000000000000:0\\n'; exit 0",
    "echo 'error: device offline' >&2; exit 1",
    "echo 'No space left on device' >&2; exit 1",
    "echo 99999999999999999999999999; exit 0",
    "printf '\\377\\376\\000'; exit 0",
    "set -- shell 'false'",
    "set -- shell 'exit 139'",
    "set -- devices",
    "rm -rf phone; mkdir phone",
    "echo more; exit 255",
    "exec 1>&- 2>&-; exit 0",
)


def _lies(folder: Path, random: Random) -> Try:
    lie = {"LIE_AT": str(int(random.integers(0, 30))), "LIE": pick(LIES, random)}
    return run("bench phone", folder, lie=lie, most_s=200.0)


def _pull_lies(folder: Path, random: Random) -> Try:
    """What is pulled is another file: the answer of benchmark_bin, or the outputs."""
    name = pick(("x.json", "x.nb"), random)
    source = folder / ("b.json" if name == "x.json" else "q.nb")
    mutate = pick(
        (mutations.any_bytes, mutations.json_values if name == "x.json" else mutations.flat_bytes), random
    )
    (folder / name).write_bytes(mutate(source.read_bytes(), random))
    lie = {
        "LIE_AT": str(int(random.integers(4, 30))),
        "LIE": f'if [ "$1" = pull ]; then head -c 1G {name} > "$3"; exit 0; fi',
    }
    return run("bench phone", folder, lie=lie, most_s=200.0)


WRITING = (
    "quantize",
    "analyze",
    "opt",
    "opt int8",
    "opt to ONNX",
    "eval",
    "bench report",
    "opt drawing",
    "bench",
)


def _killed(folder: Path, random: Random) -> Try:
    name = pick(("quantize", "opt", "opt int8", "opt to ONNX", "eval"), random)
    after = float(random.random()) * 0.8
    return run(
        name, folder, stop=int(signal.SIGKILL), stop_after_s=after, codes=GOOD | {-signal.SIGKILL}, again=True
    )


def _stopped(folder: Path, random: Random) -> Try:
    name = pick(tuple(COMMANDS), random)
    stop = pick((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), random)
    return run(
        name,
        folder,
        stop=int(stop),
        stop_after_s=float(random.random()) * 0.8,
        codes=GOOD | STOPPED | {-stop},
    )


def _no_disk(folder: Path, random: Random) -> Try:
    """No file may be longer than so many bytes, as on a disk that becomes full."""
    most = int(pick((0, 1, 100, 4096, int(random.integers(100_000))), random))
    return run(pick(WRITING, random), folder, limits={"RLIMIT_FSIZE": most})


def _no_output(folder: Path, random: Random) -> Try:
    streams: dict[str, Any] = {
        pick(("stdout", "stdout", "stderr"), random): pick(("full", "closed", "broken"), random)
    }
    broken = frozenset({128 + signal.SIGPIPE}) if "broken" in streams.values() else frozenset()
    return run(pick(tuple(COMMANDS), random), folder, codes=GOOD | broken, **streams)


def _no_memory(folder: Path, random: Random) -> Try:
    most = int(2 ** (16 + 13 * random.random()))
    return run(pick(tuple(COMMANDS), random), folder, limits={"RLIMIT_AS": most})


def _no_files(folder: Path, random: Random) -> Try:
    return run(pick(tuple(COMMANDS), random), folder, limits={"RLIMIT_NOFILE": int(random.integers(3, 14))})


MODEL = ("quantize", "quantize", "analyze", "opt", "eval", "show", "opt operators", "opt to ONNX")
QUANTIZED = ("opt int8", "opt int8", "show int8")
FLAT = ("show flat", "eval int8", "opt kernels", "opt drawing", "bench")

ATTACKS: dict[str, Attack] = {
    "onnx-bytes": damaged(
        "ONNX files cut off, with flipped bits, moved pieces, of another format",
        "m.onnx",
        mutations.any_bytes,
        *MODEL,
    ),
    "onnx-fields": damaged("ONNX files with other values in their fields", "m.onnx", edit_fields, *MODEL),
    "onnx-nesting": damaged("ONNX files nested deep, long, doubling", "m.onnx", nest, *MODEL),
    "onnx-external": Attack("external data of ONNX files: damaged, elsewhere, no file", _external),
    "int8-onnx": damaged(
        "quantized ONNX files, bytes and fields",
        "q/model.onnx",
        (mutations.any_bytes, edit_fields, edit_fields),
        *QUANTIZED,
    ),
    "flat-files": damaged(
        "flat files, most with checksums that hold",
        "q.nb",
        (mutations.flat_fields, mutations.flat_bytes),
        *FLAT,
    ),
    "yaml": damaged(
        "configurations",
        "c.yaml",
        (mutations.any_bytes, mutations.text_lines, mutations.text_lines),
        "quantize",
        "quantize",
        "analyze",
        "eval",
    ),
    "cache": damaged(
        "the calibration cache",
        "cache*/*.npz",
        (mutations.any_bytes, mutations.zip_members),
        "quantize",
        "quantize",
        "analyze",
    ),
    "cache-file": damaged(
        "a file of the cache, shown", "cache.npz", (mutations.any_bytes, mutations.zip_members), "show cache"
    ),
    "pictures": damaged(
        "pictures and arrays",
        "pictures/*",
        mutations.picture,
        "quantize",
        "quantize",
        "analyze",
        "eval",
        "eval int8",
    ),
    "labels": damaged(
        "lists of labels", "labels.txt", (mutations.any_bytes, mutations.text_lines), "eval", "eval int8"
    ),
    "reports": damaged(
        "saved reports of `ptq bench`",
        "b.json",
        (mutations.any_bytes, mutations.json_values, mutations.json_values),
        "bench report",
        "bench compare",
    ),
    "special-files": Attack("pipes, devices, links and folders in place of files", _special),
    "command-lines": Attack("flags and values that nobody meant", _words),
    "adb": Attack("an adb that lies once", _lies),
    "adb-files": Attack("a phone whose files are others", _pull_lies),
    "killed": Attack("`kill -9` at any moment, then once more: the same result to the bit", _killed),
    "stopped": Attack("SIGINT, SIGTERM, SIGHUP at any moment", _stopped),
    "no-disk": Attack("a disk that is full after so many bytes", _no_disk),
    "no-output": Attack("standard output or error full, closed, or a pipe that nobody reads", _no_output),
    "no-memory": Attack("a limit of memory (`ulimit -v`)", _no_memory),
    "no-files": Attack("a limit of open files (`ulimit -n`)", _no_files),
}
