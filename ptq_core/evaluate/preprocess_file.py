"""The `preprocess` part of a quantization configuration, for commands that need nothing else of it."""

from __future__ import annotations

from pathlib import Path

from ptq_core.config import load_config
from ptq_core.options.preprocess import PreprocessOptions


def load_preprocess(path: Path) -> PreprocessOptions:
    """Read `preprocess` of the YAML file ``path``.

    Every other key is still checked for its name and value, so a typo is found here too, but `model_dir` and
    `save_model_path` may be absent. Raises InputError.
    """
    not_used_here = {"model_dir": "-", "save_model_path": "-"}
    return load_config(path, not_used_here).preprocess
