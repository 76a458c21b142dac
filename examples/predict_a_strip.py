"""Ask a classifier about a strip: a table of probabilities, and a picture.

    python examples/pretrain_and_probe.py my-store my-model
    python examples/predict_a_strip.py my-model strip.png

The model is a folder of ``selfmis export``, a run's ``checkpoint_best.pt``, or what the first line
made. The strip is 30 s of lead I at a watch's 512 Hz, here from a synthetic heart with an old
anterior infarction, with a cable that comes off: put your own array in its place.
"""

import argparse
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

from selfmis_plugin import load_model
from selfmis_plugin.predict.picture import draw_prediction
from selfmis_plugin.synthetic import simulate

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("model", type=Path)
parser.add_argument("picture", type=Path, help="PNG or PDF to write")
options = parser.parse_args()

visits = [
    simulate(seed=2, visit=visit, infarctions=("AMI",), version=1).signal[0] for visit in range(3)
]
millivolts = resample_poly(np.concatenate(visits), 512, 500) / 1000
millivolts[-3 * 512 :] = 0  # the electrode is off for the last three seconds

model = load_model(options.model)
prediction = model.predict(millivolts, rate=512, unit="mV", lead="I")

for window in prediction.strip.windows:
    said = f"not scored: {window.problem}" if window.problem else "scored"
    print(f"from {window.start:4.1f} s: quality {window.quality:.2f}, {said}")
print(f"\n{'label':8}{'mean':>7}{'lowest':>8}{'highest':>9}")
for label, result in prediction.results.items():
    print(f"{label:8}{result.probability:7.3f}{result.low:8.3f}{result.high:9.3f}")
# A model of `selfmis export --data STORE` has thresholds too: result.threshold, result.above.
print("\nFor research, not for diagnosis.")

leads, rate = model.preprocessing.leads, model.input_rate
draw_prediction(prediction, leads, rate).savefig(options.picture)
