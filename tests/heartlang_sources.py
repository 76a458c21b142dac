"""What of lead I's words tells an infarction: ``python -m tests.heartlang_sources TOKENIZER ENCODER
STORE``, with checkpoints of both trainings and a labelled store.

For each of several summaries of a record: mean AUC of the infarction types on the test split, of a
logistic regression on the training split.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn.functional import one_hot

from selfmis_plugin.checkpoints import load_encoder_weights
from selfmis_plugin.data.preprocessing import Preprocessing
from selfmis_plugin.data.splits import open_split
from selfmis_plugin.methods.heartlang.network import HeartLangEncoder, WordInput
from selfmis_plugin.methods.heartlang.reader import read_tokenizer
from selfmis_plugin.methods.heartlang.words import Sentences

SPLITS = ("train", "test")
LEADS = ("I",)
UNTRAINED = (1, 2, 3)

Features = Mapping[str, np.ndarray]


def area(features: Features, targets: Features) -> float:
    """Mean AUC over the types that both splits have."""
    mean, deviation = features["train"].mean(0), features["train"].std(0) + 1e-6
    train, test = ((features[split] - mean) / deviation for split in SPLITS)
    areas = []
    for known, asked in zip(targets["train"].T, targets["test"].T, strict=True):
        if known.any() and asked.any():
            model = LogisticRegression(C=0.01, max_iter=500).fit(train, known)
            areas.append(roc_auc_score(asked, model.decision_function(test)))
    return float(np.mean(areas))


def mean_of_words(values: Tensor, sentences: Sentences) -> np.ndarray:
    real = sentences.real.float()[..., None]
    return ((values * real).sum(1) / real.sum(1).clamp(min=1)).numpy()


def of_encoder(encoder: HeartLangEncoder, sentences: Sentences) -> tuple[np.ndarray, np.ndarray]:
    """The class token, and the mean of the words' tokens."""
    tokens = encoder.eval().transformer(sentences.words, sentences)
    return tokens[:, 0].numpy(), mean_of_words(tokens[:, 1:], sentences)


@torch.no_grad()
def areas(tokenizer_file: Path, encoder_file: Path, store_folder: Path) -> Iterator[str]:
    weights = load_encoder_weights(encoder_file, None, leads=LEADS)
    prepare = WordInput(weights.config, LEADS, 500, 100)
    sentences, targets = {}, {}
    for split in SPLITS:
        part = open_split(store_folder, split)
        names = list(part.store.info.label_sets["infarction"])
        signals = torch.from_numpy(part.store.read(part.rows, list(LEADS)))
        sentences[split] = prepare.sentences(signals)
        targets[split] = part.store.targets(part.rows, names)
    prepared = Preprocessing(100.0, 10.0, LEADS, "none")
    tokenizer = read_tokenizer(tokenizer_file, prepared).network()
    summaries = {
        "mean word": lambda s: s.words,
        "mean of the tokenizer's tokens": lambda s: tokenizer.encoder(s.words, s)[:, 1:],
        "mean of its unit vectors": tokenizer.vectors,
        "shares of its codes": lambda s: one_hot(
            tokenizer.codes(s), tokenizer.config.codes
        ).float(),
    }
    for name, summary in summaries.items():
        found = {split: mean_of_words(summary(s), s) for split, s in sentences.items()}
        yield f"{name}: {area(found, targets):.3f}"
    encoders = {"pre-trained": HeartLangEncoder(weights.config)}
    encoders["pre-trained"].load_state_dict(weights.state_dict)
    for seed in UNTRAINED:
        torch.manual_seed(seed)
        encoders[f"untrained, seed {seed}"] = HeartLangEncoder(weights.config)
    for name, encoder in encoders.items():
        both = {split: of_encoder(encoder, s) for split, s in sentences.items()}
        for number, kind in enumerate(("class token", "mean token")):
            found = {split: pair[number] for split, pair in both.items()}
            yield f"{name}, {kind}: {area(found, targets):.3f}"


if __name__ == "__main__":
    for line in areas(*map(Path, sys.argv[1:])):
        print(line, flush=True)
