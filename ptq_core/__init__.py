"""Post-training quantization of ONNX vision models: all that is true without a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ptq_core.post_training_quantization import PostTrainingQuantization

__all__ = ["PostTrainingQuantization"]


def __getattr__(name: str) -> Any:
    """Import the API when it is asked for: the command line starts faster without onnxruntime."""
    if name == "PostTrainingQuantization":
        from ptq_core.post_training_quantization import PostTrainingQuantization

        return PostTrainingQuantization
    raise AttributeError(f"module 'ptq_core' has no attribute {name!r}")
