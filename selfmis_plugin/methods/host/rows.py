"""What fairseq-signals brings: self-supervised methods, the paper's first four rows among them."""

from __future__ import annotations

from selfmis_plugin.methods.method import LAST, LEAD_I, UNLABELLED, Export, Method, Stage
from selfmis_plugin.methods.ways import host_ways

_RATES = {"full": (1.25e-5, 5e-5, 2e-4, 8e-4), "small": (2.5e-4, 1e-3, 4e-3, 0.016)}


def _baseline(name: str, title: str, paper: str | None, export: Export) -> Method:
    stage = Stage(
        name, f"baselines/{name}", UNLABELLED, export=export, checkpoint=LAST, rates=_RATES
    )
    # The encoder reads twelve leads; all but lead I are zero.
    return Method(name, title, stage, host_ways(LEAD_I, stage), paper=paper)


METHODS = (
    _baseline("simclr", "SimCLR", "SimCLR", Export("plain")),
    _baseline("wav2vec2", "wav2vec 2.0", "Wav2Vec 2", Export("plain")),
    _baseline("3kg", "3KG", "3KG", Export("plain", "mV")),
    _baseline("clocs", "CLOCS (CMSC)", "CLOCS", Export("cmsc")),
    _baseline("w2v_cmsc", "W2V-CMSC", None, Export("cmsc")),
)
