"""All that measures `ptq` and its runtime, beside peers, on generated networks; and the docs' tables made of it."""

import sys
from pathlib import Path

sys.path.append(
    str(Path(__file__).resolve().parent.parent / "runtime")
)  # its builder and the others are scripts
