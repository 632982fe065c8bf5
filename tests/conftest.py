"""What all tests share: where the committed demo lies, and the real model and photographs where they are present."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def digits() -> Path:
    """The committed demo: model/, calibration_images/, test_images/, test_labels.txt, quantize.yaml."""
    return ROOT / "examples" / "digits"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the real models and photographs; the test is skipped where there is none."""
    folder = Path(os.environ.get("PTQ_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "models").is_dir():
        if os.environ.get("PTQ_REQUIRE_DATA"):
            pytest.fail(f"PTQ_REQUIRE_DATA is set, but there is no real data in {folder}")
        pytest.skip("no real data: set PTQ_SHARED_DATA")
    return folder
