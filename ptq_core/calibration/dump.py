"""A file of the calibration cache as text for people, and as a record for machines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ptq_core.calibration.cache import CachedCalibration


def describe_calibration(calibration: CachedCalibration) -> dict[str, Any]:
    """What the text says, as a record for JSON."""
    return {
        "type": "calibration cache",
        "complete": calibration.micro_batch == 0,
        "samples": calibration.used,
        "skipped": [{"path": str(path), "reason": reason} for path, reason in calibration.skipped],
        "tensors": [
            {
                "name": tensor.name,
                "minimum": tensor.minimum if tensor.count else None,
                "maximum": tensor.maximum if tensor.count else None,
                "abs_max": tensor.abs_max,
                "mean_abs_max": tensor.sum_abs_max / tensor.samples if tensor.samples else 0.0,
                "values": tensor.count,
                "zeros": tensor.zero_count,
                "bin_width": tensor.bin_width,
            }
            for tensor in calibration.statistics.values()
        ],
    }


def calibration_lines(calibration: CachedCalibration) -> Iterator[str]:
    """One line per tensor: range, share of zeros, largest magnitude and its mean over the samples; names as they are."""
    record = describe_calibration(calibration)
    state = "complete" if record["complete"] else "under way"
    yield f"calibration cache, {state}: {record['samples']} samples, {len(record['skipped'])} skipped"
    for skipped in record["skipped"]:
        yield f"skipped {skipped['path']}: {skipped['reason']}"
    for t in record["tensors"]:
        if not t["values"]:
            yield f"tensor no values {t['name']}"
            continue
        yield (
            f"tensor min={t['minimum']:.9g} max={t['maximum']:.9g} abs_max={t['abs_max']:.9g} "
            f"mean_abs_max={t['mean_abs_max']:.9g} values={t['values']} zeros={t['zeros']} "
            f"bin_width={t['bin_width']:.9g} {t['name']}"
        )
