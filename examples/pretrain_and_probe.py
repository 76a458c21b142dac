"""Pre-train a single-lead encoder beside a 12-lead one and probe it, in plain PyTorch.

    python examples/pretrain_and_probe.py my-store my-model

needs no training toolkit. A store that is not there is made, of a small synthetic cohort. Sizes and
epochs are for a minute on a CPU: the figures show that it works, not how well. The classifier goes
to my-model, for predict_a_strip.py.
"""

import argparse
from pathlib import Path

import torch
from torch.nn.functional import binary_cross_entropy_with_logits as bce

from selfmis_plugin.checkpoints.classifier import LoadedClassifier
from selfmis_plugin.checkpoints.model_folder import SavedModel, write_model
from selfmis_plugin.data.leads import STANDARD_LEADS as LEADS
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.data.splits import open_split
from selfmis_plugin.data.store import StoreWriter
from selfmis_plugin.methods.selfmis.towers import TwoTowers
from selfmis_plugin.metrics.auc import auc_report
from selfmis_plugin.nn.classifier import EncoderClassifier
from selfmis_plugin.nn.losses.siglip import SigLIPLoss
from selfmis_plugin.nn.net1d import Net1DConfig
from selfmis_plugin.synthetic import simulate

LABELS = ("NORM", "AMI", "IMI")
SHAPE = Net1DConfig(base_filters=16, filters=(16, 32, 64), blocks=(1, 1, 1), in_leads=1)
RATE = 100.0  # of the 500 samples a second in the store, as many as encoders read


def make_store(folder: Path, records: int) -> None:
    with StoreWriter(folder, database="synthetic", label_sets={"some": LABELS}) as writer:
        for k in range(records):
            heart = simulate(seed=1, patient=k, infarctions=((), ("AMI",), ("IMI",))[k % 3])
            labels = [label for label in LABELS if label in heart.statements]
            split = "train" if k % 9 < 6 else "test"
            row = {"record_id": str(k), "patient_id": str(k), "split": split, "labels": labels}
            writer.append(heart.signal.round().astype("int16"), row)


def read(store: Path, split: str) -> tuple[torch.Tensor, torch.Tensor]:
    part = open_split(store, split)
    signals, targets = part.store.read(part.rows), part.store.targets(part.rows, LABELS)
    return torch.from_numpy(signals), torch.from_numpy(targets)


def fit(loss, modules, records: int, epochs: int, lr: float = 0.003) -> None:
    """Train on batches of 32; *loss* takes the numbers of a batch's records."""
    optimizer = torch.optim.AdamW([p for module in modules for p in module.parameters()], lr=lr)
    for _ in range(epochs):
        for rows in torch.randperm(records).split(32):
            optimizer.zero_grad()
            loss(rows).backward()
            optimizer.step()


def probe(encoder, train, test) -> tuple[EncoderClassifier, float | None]:
    """Train a linear head on a frozen encoder of lead I; return both, and the mean AUC."""
    both = EncoderClassifier(SHAPE, 3, "I", "I", 500, RATE, freeze_encoder=True, standardize=True)
    both.encoder.load_state_dict(encoder.state_dict())
    # A frozen encoder reads each record once, however many epochs the head is trained for.
    embeddings = both.embed(train[0][:, :1])
    both.set_embedding_statistics(embeddings)
    fit(lambda rows: bce(both.classify(embeddings[rows]), train[1][rows]),
        [both.head], len(embeddings), epochs=60, lr=0.01)  # fmt: skip
    logits = both(test[0][:, :1]).detach()
    return both, auc_report(test[1], logits, LABELS, LABELS).macro_auc


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("store", type=Path)
parser.add_argument("model", type=Path, help="folder to write the classifier to")
parser.add_argument("--records", type=int, default=450, help="of a store that is made")
parser.add_argument("--epochs", type=int, default=10, help="of both encoders")
options = parser.parse_args()
torch.manual_seed(1)
if not options.store.exists():
    make_store(options.store, options.records)
train, test = read(options.store, "train"), read(options.store, "test")
(signals, targets), sizes = train, (len(train[0]), options.epochs)
# The 12-lead encoder. With ECGFounder's weights at hand this training is not needed.
teacher = EncoderClassifier(SHAPE, 3, LEADS, LEADS, 500, RATE)
fit(lambda rows: bce(teacher(signals[rows]), targets[rows]), [teacher], *sizes)
towers = TwoTowers(SHAPE, LEADS, lead="I", sample_rate=RATE)
towers.multi.load_state_dict(teacher.encoder.state_dict())
print(f"mean AUC of a linear probe on a random encoder: {probe(towers.single, train, test)[1]:.3f}")
# The frozen tower says the same of a record in every epoch: it runs once.
kept = towers.embed_multi(signals)
siglip = SigLIPLoss(center=True, embedding_dim=towers.embedding_dim)
siglip.set_center(kept.mean(0))
fit(lambda rows: siglip(towers.embed_single(signals[rows, :1]), kept[rows], rows) / len(rows),
    [towers.single, siglip], *sizes)  # fmt: skip
classifier, auc = probe(towers.single, train, test)
print(f"and on one that was aligned with 12 leads: {auc:.3f}")
reads, weights = Preprocessing(RATE, 10.0, ("I",), "none"), classifier.state_dict()
trained = LoadedClassifier(options.model, SHAPE, LABELS, reads, True, weights)
write_model(SavedModel(trained, 500.0), options.model, card=__doc__)
