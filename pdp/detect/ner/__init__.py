"""Named entities by models from a directory: Presidio on spaCy, GLiNER on onnxruntime.

Both are extras (`pdp[ner]`, `pdp[gliner]`), behind one protocol, each in a thread of its own.
"""

from pdp.detect.ner.engine import NerEngine
from pdp.detect.ner.loading import DEFAULT_BUDGET_S, open_engine

__all__ = ["DEFAULT_BUDGET_S", "NerEngine", "open_engine"]
