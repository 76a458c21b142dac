"""Recordings in the formats of hospitals and devices."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import scipy.io

from selfmis_plugin.cli.main import main
from selfmis_plugin.data.leads import STANDARD_LEADS
from selfmis_plugin.data.recording import RecordError
from selfmis_plugin.predict.opening import open_strip_file
from selfmis_plugin.preparation.recordings import device_file
from selfmis_plugin.preparation.recordings.content import DEVICE_FORMATS, content_of
from selfmis_plugin.preparation.recordings.long_recording import LongRecording, ReadingOptions
from selfmis_plugin.synthetic import simulate
from tests.checkpoint_files import write_classifier
from tests.device_files import RATE, STEP, WRITERS, write_aecg, write_dicom, write_ishne, write_muse
from tests.strip_files import ENGLISH, write_watch

LIMB = STANDARD_LEADS[:6]


@pytest.fixture(scope="module")
def steps() -> npt.NDArray[np.int16]:
    """Twelve leads of ten seconds in steps of 5 uV."""
    signal = simulate(5, patient=0, infarctions=()).signal.astype(np.float64)
    return np.rint(signal / STEP).astype(np.int16)


def read_back(recording: LongRecording) -> dict[str, npt.NDArray[np.float64]]:
    blocks = list(recording.blocks(list(recording.rates), 60))
    parts = [np.concatenate(part) for part in zip(*(b.signals for b in blocks), strict=True)]
    return dict(zip(recording.rates, parts, strict=True))


def test_every_format_has_a_file_here() -> None:
    assert set(WRITERS) == set(DEVICE_FORMATS)


@pytest.mark.parametrize("format", WRITERS)
def test_a_format_is_known_by_its_content_and_read(
    tmp_path: Path, steps: npt.NDArray[np.int16], format: str
) -> None:
    leads = LIMB if format == "AliveCor Kardia JSON" else STANDARD_LEADS
    path = WRITERS[format](tmp_path / "ecg.csv", steps[: len(leads)], leads, "Mark")
    assert content_of(path) == format
    recording = open_strip_file(path)
    assert recording.rates == dict.fromkeys(leads, RATE) and recording.notes == ()
    for lead, signal in zip(leads, steps, strict=False):
        np.testing.assert_array_equal(read_back(recording)[lead], signal * float(STEP))


def test_the_one_recording_is_the_same_in_three_formats(real_data: Path) -> None:
    folder = real_data / "formats"
    names = ("aecg_ecgtoolkit.xml", "scp_ecgtoolkit.scp", "dicom_ecgtoolkit.dcm", "aecg_fda.xml")
    found = [read_back(open_strip_file(folder / name)) for name in names]
    assert set(found[0]) == set(STANDARD_LEADS)
    for other in found[1:]:
        for lead in STANDARD_LEADS:
            np.testing.assert_array_equal(other[lead], found[0][lead])
    for name in ("philips_1_03.xml", "philips_1_04_01.xml"):
        recording = open_strip_file(folder / name)
        signals = read_back(recording)
        assert recording.rates == dict.fromkeys(STANDARD_LEADS, 500.0)
        assert "calibration pulse" in recording.notes[0] and len(signals["I"]) > 5200
        # Einthoven's law tells whether leads and scale are right.
        difference = signals["II"] - signals["I"] - signals["III"]
        assert np.abs(difference).max() <= 3 * STEP < np.ptp(signals["II"])


def test_limb_leads_that_a_file_leaves_out_follow_from_two(
    tmp_path: Path, steps: npt.NDArray[np.int16]
) -> None:
    eight = ["I", "II", *STANDARD_LEADS[6:]]
    rows = steps[[STANDARD_LEADS.index(lead) for lead in eight]]
    found = read_back(open_strip_file(write_muse(tmp_path / "m.xml", rows, eight)))
    assert len(found) == 12
    one, two = found["I"], found["II"]
    np.testing.assert_array_equal(found["III"], two - one)
    np.testing.assert_array_equal(found["aVR"], -(one + two) / 2)
    np.testing.assert_array_equal(found["aVL"], one - two / 2)
    np.testing.assert_array_equal(found["aVF"], two - one / 2)
    few = read_back(open_strip_file(write_muse(tmp_path / "m.xml", rows[1:], eight[1:])))
    assert set(few) == set(eight[1:])


def test_padding_is_missing_and_a_signal_that_passes_its_value_is_not(
    tmp_path: Path, steps: npt.NDArray[np.int16]
) -> None:
    for padding in (0, -32768):
        rows = steps[:2].copy()
        assert (rows == 0).any()
        rows[:, 2000:3000] = padding
        path = write_dicom(tmp_path / "d.dcm", rows, ("I", "II"), padding=padding)
        found = read_back(open_strip_file(path))
        for lead, row in zip(("I", "II"), rows, strict=True):
            missing = np.isnan(found[lead])
            # The edge of the padding may touch a sample of its value.
            assert missing[2000:3000].all() and missing.sum() <= 1010
            np.testing.assert_array_equal(found[lead][~missing], row[~missing] * float(STEP))


def test_faults_that_a_holter_marks_are_missing(
    tmp_path: Path, steps: npt.NDArray[np.int16]
) -> None:
    rows = steps[:1].copy()
    rows[0, 100:200] = -32768
    found = read_back(open_strip_file(write_ishne(tmp_path / "h.ecg", rows, ["I"])))["I"]
    assert np.isnan(found[100:200]).all() and np.isnan(found).sum() == 100


def test_what_the_user_says_of_the_unit_goes_before_the_file(
    tmp_path: Path, steps: npt.NDArray[np.int16]
) -> None:
    path = write_aecg(tmp_path / "a.xml", steps[:1], ["I"])
    path.write_text(path.read_text().replace('unit="uV"', 'unit="furlong"'))
    with pytest.raises(RecordError, match="a.xml: channel I has no unit.*--units"):
        read_back(open_strip_file(path))
    found = read_back(open_strip_file(path, ReadingOptions(microvolts_per_unit=1)))
    np.testing.assert_array_equal(found["I"], steps[0] * float(STEP))


@pytest.mark.parametrize("format", WRITERS)
def test_a_damaged_file_is_refused_by_name_and_says_nothing_else(
    tmp_path: Path, steps: npt.NDArray[np.int16], format: str
) -> None:
    leads = LIMB if format == "AliveCor Kardia JSON" else STANDARD_LEADS
    path = WRITERS[format](tmp_path / "cut", steps[: len(leads)], leads, "Mustermann")
    content = path.read_bytes()
    for length in (600, len(content) // 2):
        path.write_bytes(content[:length])
        try:
            recording = open_strip_file(path)
        except RecordError as error:
            assert "cut: " in str(error) and "Mustermann" not in str(error)
            assert format in str(error) or "unknown format" in error.kind
            continue
        # What may end anywhere is read to where it ends.
        assert format in ("ISHNE Holter", "MFER")
        assert all(len(signal) < 5000 for signal in read_back(recording).values())


SECRETS = {
    "openssl": (b"Salted__" + bytes(200), "encrypted with OpenSSL"),
    "pgp": (b"-----BEGIN PGP MESSAGE-----\n\nhQEMA", "an encrypted PGP message"),
    "zip": (b"PK\x03\x04\x14\x00\x01\x00" + bytes(100), "an encrypted ZIP archive"),
    "xml": (
        b'<?xml version="1.0"?><EncryptedData xmlns="http://www.w3.org/2001/04/xmlenc#"/>',
        "encrypted XML",
    ),
}


@pytest.mark.parametrize("name", SECRETS)
def test_an_encrypted_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    content, said = SECRETS[name]
    path = tmp_path / f"{name}.xml"
    path.write_bytes(content)
    with pytest.raises(RecordError, match=f"{name}.xml: is {said}; decrypt"):
        open_strip_file(path)


BOMB = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + "".join(
        f'<!ENTITY {new} "{f"&{old};" * 10}">'
        for old, new in zip("abcdefghi", "bcdefghij", strict=True)
    )
    + "]>\n"
)
OUTSIDE = '<!DOCTYPE x [<!ENTITY j SYSTEM "file://{}">]>\n'


@pytest.mark.parametrize(
    "format", [name for name in WRITERS if "XML" in name or "aECG" in name or "ELI" in name]
)
@pytest.mark.parametrize("head", [BOMB, OUTSIDE], ids=["bomb", "outside"])
def test_entities_of_xml_do_no_harm(
    tmp_path: Path, steps: npt.NDArray[np.int16], format: str, head: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("1 2 3 4 5")
    path = WRITERS[format](tmp_path / "b.xml", steps[:2], ("I", "II"), "Mark")
    raw = path.read_bytes()
    encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    declaration, rest = raw.decode(encoding).split("?>\n", 1)
    rest = rest.removeprefix('<!DOCTYPE RestingECG SYSTEM "restecg.dtd">\n')
    text = f"{declaration}?>\n{head.format(secret)}{rest.replace('Mark', '&j;', 1)}"
    path.write_bytes(text.encode(encoding))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RecordError, match="b.xml: declares XML entities"):
        open_strip_file(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


def test_a_format_without_its_reader_says_what_to_install(
    tmp_path: Path, steps: npt.NDArray[np.int16], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_aecg(tmp_path / "a.xml", steps, STANDARD_LEADS)
    monkeypatch.setattr(device_file, "PACKAGE", "no_such_package")
    with pytest.raises(RecordError, match=r"pip install '\.\[formats\]'"):
        open_strip_file(path)


def test_arrays(tmp_path: Path, steps: npt.NDArray[np.int16]) -> None:
    path = tmp_path / "a.npy"
    said = ReadingOptions(rate=500, microvolts_per_unit=STEP, channels=STANDARD_LEADS)
    for array in (steps, steps.T, steps.astype(np.float32)):
        np.save(path, array)
        found = read_back(open_strip_file(path, said))
        np.testing.assert_array_equal(list(found.values()), steps * float(STEP))
    with pytest.raises(RecordError, match="a.npy: says no rate.*--rate"):
        open_strip_file(path)
    with pytest.raises(RecordError, match="a.npy: has 12 channels, and 1 names"):
        open_strip_file(path, ReadingOptions(rate=500, channels=("I",)))
    np.save(path, np.array([{}]), allow_pickle=True)
    with pytest.raises(RecordError, match="a.npy: cannot be read"):
        open_strip_file(path, said)
    path = tmp_path / "a.mat"
    millivolts = steps * STEP / 1000
    scipy.io.savemat(path, {"feats": millivolts, "curr_sample_rate": 500, "idx": 3})
    found = read_back(open_strip_file(path))
    np.testing.assert_allclose([found[lead] for lead in STANDARD_LEADS], steps * STEP, atol=1e-9)
    scipy.io.savemat(path, {"ecg": millivolts.T, "Fs": 250.0, "age": 60})
    recording = open_strip_file(path, ReadingOptions(microvolts_per_unit=1000))
    assert set(recording.rates.values()) == {250.0} and len(recording.rates) == 12
    scipy.io.savemat(path, {"a": millivolts, "b": millivolts})
    with pytest.raises(RecordError, match="a.mat: holds 2 arrays"):
        open_strip_file(path)


def test_predict_takes_every_format_alike(
    tmp_path: Path, steps: npt.NDArray[np.int16], capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_classifier(tmp_path / "c.pt")
    files = [
        str(write(tmp_path / f"{number}.bin", steps[:2], ("I", "II"), "Mustermann"))
        for number, write in enumerate(WRITERS.values())
    ]
    watch = write_watch(tmp_path / "w.csv", steps[0] * 5.0, ENGLISH.replace("512", "500"))
    out = tmp_path / "o.json"
    call = ["predict", "--model", str(model), *files, str(watch), "--json", str(out)]
    assert main([*call, "--quality", "0", "--png", str(tmp_path / "p.svg")]) == 0
    printed = capsys.readouterr()
    picture = (tmp_path / "p-1.svg").read_text()
    assert "window 1 of 1" in picture and "0.bin" not in picture and "Mustermann" not in picture
    assert "Mustermann" not in printed.out + printed.err + out.read_text()
    found = [file["windows"][0]["probabilities"] for file in json.loads(out.read_text())["files"]]
    assert len(found) == len(WRITERS) + 1 and all(one == found[0] for one in found)


def test_recordings_of_a_wearable_in_a_device_format(
    tmp_path: Path, steps: npt.NDArray[np.int16]
) -> None:
    from selfmis_plugin.data.store import Store

    for subject in range(3):
        (tmp_path / f"in/s{subject}").mkdir(parents=True)
        rows = np.tile(steps, 3)
        write_ishne(tmp_path / f"in/s{subject}/h.ecg", rows, STANDARD_LEADS)
        (tmp_path / f"in/s{subject}/notes.json").write_text("{}")
    call = ["prepare", "recordings", str(tmp_path / "in"), "--dest", str(tmp_path / "out")]
    call += ["--single", "I", "--multi", "II=II,V1=V1", "--quality", "0"]
    assert main([*call, "--valid-fraction", "0", "--test-fraction", "0"]) == 0
    assert len(Store.open(tmp_path / "out")) == 9
