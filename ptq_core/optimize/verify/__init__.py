"""Is a flat file the model that it was made from? Two questions, each answered operator by operator (docs/opt.md).

runtime_check: does the runtime compute the program? model_check: does the program compute the model?
"""

from __future__ import annotations
