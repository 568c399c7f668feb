"""Named-entity recognition by local models: Presidio on spaCy, and GLiNER on onnxruntime.

Both are optional (`pdp[ner]`, `pdp[gliner]`) and implement one protocol. Each model runs in its own
thread.
"""

from pdp.detect.ner.engine import NerEngine
from pdp.detect.ner.loading import DEFAULT_BUDGET_S, open_engine

__all__ = ["DEFAULT_BUDGET_S", "NerEngine", "open_engine"]
