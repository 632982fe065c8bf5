#!/usr/bin/env python3
"""A stand-in for `benchmark_bin` that misbehaves on request (FAKE_MODE); otherwise it answers with FAKE_SAMPLES (JSON:
a list of samples per model)."""

import json
import os
import signal
import sys
import time


def main() -> int:
    flags, models = {}, []
    for word in sys.argv[1:]:
        if word.startswith("--"):
            name, _, flags[name] = word.partition("=")
        else:
            models.append(word)
    mode = os.environ.get("FAKE_MODE", "")
    if mode == "hang":
        time.sleep(60)
    if mode == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if mode == "refuse":
        print(
            f"benchmark_bin: {models[0][:140]}: header.crc32 does not match; write the file again",
            file=sys.stderr,
        )
        return 2
    if mode == "fail":
        print("out of memory", file=sys.stderr)
        return 3
    if mode == "die_with_2_threads" and flags["--threads"] == "2":
        os.abort()
    if mode == "silent":
        return 0
    text = "Segmentation fault?\n" if mode == "garbage" else json.dumps(answer(flags, models))
    if mode == "truncated":
        text = text[: len(text) // 2]
    with open(flags["--json"], "w") as file:  # noqa: PTH123
        file.write(text)
    return 0


def answer(flags: dict[str, str], models: list[str]) -> dict[str, object]:
    series = json.loads(os.environ.get("FAKE_SAMPLES", "[[4.0, 4.2, 4.1], [2.0, 2.1, 2.2]]"))
    ops = [{"name": "conv", "kind": "conv2d", "kernel": "conv2d_f32__scalar", "mean_us": 12.5}]
    return {
        "schema": 2,
        "tool": "benchmark_bin",
        "version": "0.1.0",
        "abi": "x86_64",
        "cpu_features": "scalar",
        "threads": int(flags["--threads"]),
        "warmup": int(flags["--warmup"]),
        "repeats": int(flags["--repeats"]),
        "stopped": "repeats",
        "models": [
            {
                "path": path,
                "load_ms": 1.5,
                "first_ms": 9.0,
                "arena_bytes": 4096,
                "file_bytes": os.path.getsize(path),  # noqa: PTH202
                "samples_ms": series[index][: int(flags["--repeats"])],
                "output_crc32": 0xDEADBEEF,
                "ops": ops if "--profile" in flags else [],
            }
            for index, path in enumerate(models)
        ],
        "peak_rss_bytes": 12_300_000,
    }


if __name__ == "__main__":
    sys.exit(main())
