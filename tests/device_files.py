"""Files in the formats of hospitals and devices, written from the formats' specifications.

Every writer takes the path, the signal in steps of 5 uV (leads, samples), the leads' names, and a
mark that it puts into every field in which such a file speaks of a person, a place or a device.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items

from selfmis_plugin.data.leads import STANDARD_LEADS

RATE = 500
#: Microvolts in one step.
STEP = 5

Steps = npt.NDArray[np.int16]


def write_aecg(path: Path, steps: Steps, leads: Sequence[str], mark: str = "") -> Path:
    """HL7 annotated ECG."""
    sequences = "".join(
        f'<component><sequence><code code="MDC_ECG_LEAD_{lead.upper()}" codeSystemName="{mark}"/>'
        f'<value xsi:type="SLIST_PQ"><origin value="0" unit="uV"/><scale value="{STEP}" unit="uV"/>'
        f"<digits>{' '.join(map(str, row))}</digits></value></sequence></component>"
        for lead, row in zip(leads, steps.tolist(), strict=True)
    )
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<AnnotatedECG xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f'<id root="{mark}"/><text>{mark}</text>'
        "<componentOf><timepointEvent><componentOf><subjectAssignment><subject><trialSubject>"
        f'<id extension="{mark}"/><subjectDemographicPerson><name>{mark}</name>'
        "</subjectDemographicPerson></trialSubject></subject></subjectAssignment></componentOf>"
        "</timepointEvent></componentOf>"
        f'<component><series><id root="{mark}"/><code code="RHYTHM"/>'
        f"<author><seriesAuthor><manufacturedSeriesDevice><id root='{mark}' extension='{mark}'/>"
        f"<manufacturerModelName>{mark}</manufacturerModelName></manufacturedSeriesDevice>"
        f"<manufacturerOrganization><name>{mark}</name></manufacturerOrganization></seriesAuthor>"
        "</author><component><sequenceSet><component><sequence>"
        '<code code="TIME_ABSOLUTE"/><value xsi:type="GLIST_TS"><head value="20200102030405.000"/>'
        f'<increment value="{1 / RATE}" unit="s"/></value></sequence></component>'
        f"{sequences}</sequenceSet></component></series></component></AnnotatedECG>",
        encoding="utf-8",
    )
    return path


def write_muse(path: Path, steps: Steps, leads: Sequence[str], mark: str = "") -> Path:
    """GE MUSE XML, with the declaration of its document type."""
    rows = "".join(
        f"<LeadData><LeadByteCountTotal>{2 * len(row)}</LeadByteCountTotal>"
        f"<LeadSampleCountTotal>{len(row)}</LeadSampleCountTotal>"
        f"<LeadAmplitudeUnitsPerBit>{STEP}</LeadAmplitudeUnitsPerBit>"
        "<LeadAmplitudeUnits>MICROVOLTS</LeadAmplitudeUnits><LeadSampleSize>2</LeadSampleSize>"
        f"<LeadID>{lead}</LeadID><WaveFormData>{_base64(row)}</WaveFormData></LeadData>"
        for lead, row in zip(leads, steps, strict=True)
    )
    path.write_text(
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<!DOCTYPE RestingECG SYSTEM "restecg.dtd">\n'
        f"<RestingECG><MuseInfo><MuseVersion>{mark}</MuseVersion></MuseInfo>"
        f"<PatientDemographics><PatientID>{mark}</PatientID><PatientLastName>{mark}"
        f"</PatientLastName><PatientFirstName>{mark}</PatientFirstName></PatientDemographics>"
        f"<TestDemographics><SiteName>{mark}</SiteName><LocationName>{mark}</LocationName>"
        f"<AcquisitionDevice>{mark}</AcquisitionDevice><AcquisitionDate>{mark}</AcquisitionDate>"
        f"</TestDemographics><Diagnosis><DiagnosisStatement><StmtText>{mark}</StmtText>"
        "</DiagnosisStatement></Diagnosis><Waveform><WaveformType>Rhythm</WaveformType>"
        f"<SampleBase>{RATE}</SampleBase><SampleExponent>0</SampleExponent>{rows}</Waveform>"
        "</RestingECG>",
        encoding="latin-1",
    )
    return path


def write_philips(path: Path, steps: Steps, leads: Sequence[str], mark: str = "") -> Path:
    """Philips Sierra XML 1.03 with a plain waveform, in UTF-16 as PageWriter carts have it."""
    text = (
        '<?xml version="1.0" encoding="UTF-16"?>\n<restingecgdata><documentinfo>'
        f"<documentname>{mark}</documentname><documenttype>SierraECG</documenttype>"
        "<documentversion>1.03</documentversion></documentinfo>"
        f"<userdefines><userdefine><value>{mark}</value></userdefine></userdefines><patient>"
        f"<generalpatientdata><patientid>{mark}</patientid><name><lastname>{mark}</lastname>"
        f"<firstname>{mark}</firstname></name></generalpatientdata></patient>"
        f'<dataacquisition date="2020-01-02" time="03:04:05"><machine machineid="{mark}">{mark}'
        f"</machine><acquirer><operatorid>{mark}</operatorid><facilityname>{mark}</facilityname>"
        "</acquirer><signalcharacteristics><samplingrate>500</samplingrate>"
        f"<signalresolution>{STEP}</signalresolution><acquisitiontype>STD-12</acquisitiontype>"
        f"<numberchannelsallocated>{len(leads)}</numberchannelsallocated></signalcharacteristics>"
        f'</dataacquisition><waveforms><parsedwaveforms leadlabels="{" ".join(leads)}" '
        f'numberofleads="{len(leads)}" durationperchannel="{steps.shape[1] * 1000 // RATE}" '
        f'samplespersecond="{RATE}" resolution="{STEP}" dataencoding="Plain">'
        f"{' '.join(map(str, steps.ravel().tolist()))}</parsedwaveforms></waveforms>"
        "</restingecgdata>"
    )
    path.write_bytes(text.encode("utf-16"))
    return path


def write_mortara(path: Path, steps: Steps, leads: Sequence[str], mark: str = "") -> Path:
    """Mortara ELI XML."""
    rows = "".join(
        f'<CHANNEL NAME="{lead}" UNITS_PER_MV="{1000 // STEP}" DURATION="{len(row)}" BITS="16" '
        f'FORMAT="SIGNED" ENCODING="BASE64" SAMPLE_FREQ="{RATE}" DATA="{_base64(row)}"/>'
        for lead, row in zip(leads, steps, strict=True)
    )
    path.write_text(
        f'<?xml version="1.0"?>\n<ECG ACQUISITION_TIME="20200102030405" ROOM="{mark}" '
        f'LOCATION="{mark}" COMMENT="{mark}" TECHNICIAN="{mark}">'
        f'<SUBJECT LAST_NAME="{mark}" FIRST_NAME="{mark}" ID="{mark}"/>'
        f'<SOURCE MANUFACTURER="{mark}" MODEL="{mark}"/>'
        f'<AUTOMATIC_INTERPRETATION><STATEMENT TEXT="{mark}" REASON="{mark}"/>'
        f"</AUTOMATIC_INTERPRETATION>{rows}</ECG>",
        encoding="utf-8",
    )
    return path


def write_kardia(path: Path, steps: Steps, leads: Sequence[str], mark: str = "") -> Path:
    """AliveCor Kardia JSON."""
    names = {"I": "leadI", "II": "leadII", "III": "leadIII"}
    samples = {
        names.get(lead, lead.upper()): row.tolist() for lead, row in zip(leads, steps, strict=True)
    }
    content = {
        "id": mark,
        "patientID": mark,
        "recordedAt": "2020-01-02T03:04:05Z",
        "note": mark,
        "tags": [mark],
        "algorithmDetermination": mark,
        "deviceInfo": {"serialNumber": mark, "hardwareType": mark},
        "data": {
            "raw": {"frequency": RATE, "amplitudeResolution": STEP * 1000, "samples": samples}
        },
    }
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def write_ishne(path: Path, steps: Steps, leads: Sequence[str], mark: str = "") -> Path:
    """ISHNE Holter: a fixed header of 522 bytes, then samples lead by lead."""
    codes = {lead: 5 + place for place, lead in enumerate(STANDARD_LEADS)}
    note = mark.encode("latin-1")
    word = mark.encode("latin-1")
    fixed = struct.pack("<iiiih", len(note), steps.shape[1], 522, 522 + len(note), 1)
    fixed += struct.pack("<40s40s20shh", word, word, word, 1, 0)
    fixed += struct.pack("<9h", 1, 1, 1960, 2, 1, 2020, 2, 1, 2020)
    fixed += struct.pack("<3h", 3, 4, 5)
    fixed += struct.pack("<h", len(leads))
    for value, rest in (
        ([codes[lead] for lead in leads], -9), ([1] * len(leads), -9),
        ([STEP * 1000] * len(leads), -9),
    ):  # fmt: skip
        fixed += struct.pack("<12h", *value, *[rest] * (12 - len(leads)))
    fixed += struct.pack("<h40sh", 0, word, RATE)
    fixed += struct.pack("<80s80s88s", word, word, word)
    assert len(fixed) == 512
    checksum = binascii.crc_hqx(fixed + note, 0xFFFF)
    path.write_bytes(
        b"ISHNE1.0" + struct.pack("<H", checksum) + fixed + note + steps.T.astype("<i2").tobytes()
    )
    return path


def write_mfer(path: Path, steps: Steps, leads: Sequence[str], mark: str = "") -> Path:
    """MFER, big endian: one frame, a block a lead."""
    codes = {"I": 1, "II": 2, "III": 61, "aVR": 62, "aVL": 63, "aVF": 64}
    codes |= {f"V{k}": 2 + k for k in range(1, 7)}
    word = mark.encode("ascii")

    def item(tag: int, value: bytes) -> bytes:
        size = len(value)
        length = bytes([size]) if size < 128 else b"\x84" + size.to_bytes(4, "big")
        return bytes([tag]) + length + value

    content = item(0x40, b"MFR " + word) + item(0x01, b"\x00")
    content += (
        item(0x81, word) + item(0x82, word) + item(0x16, word) + item(0x17, word + b"^" + word)
    )
    content += item(0x08, b"\x00\x01") + item(0x0B, struct.pack(">BbH", 1, -3, 1000 // RATE))
    content += item(0x0C, struct.pack(">BbH", 0, -6, STEP)) + item(0x0A, b"\x00")
    content += item(0x05, bytes([len(leads)])) + item(0x04, struct.pack(">I", steps.shape[1]))
    content += item(0x06, b"\x01")
    for place, lead in enumerate(leads):
        attribute = item(0x09, struct.pack(">H", codes[lead]))
        content += b"\x3f" + bytes([place, len(attribute)]) + attribute
    content += item(0x1E, steps.astype(">i2").tobytes()) + b"\x80\x00"
    path.write_bytes(content)
    return path


def write_scp(path: Path, steps: Steps, leads: Sequence[str], mark: str = "") -> Path:
    """SCP-ECG 2.2 with sections 0, 1, 3 and 6, not compressed."""
    codes = {"I": 1, "II": 2, "III": 61, "aVR": 62, "aVL": 63, "aVF": 64}
    codes |= {f"V{k}": 2 + k for k in range(1, 7)}
    word = mark.encode("ascii") + b"\x00"
    tags = b"".join(struct.pack("<BH", tag, len(word)) + word for tag in (0, 1, 2, 20, 21, 30))
    tags += struct.pack("<BH4s", 25, 4, struct.pack("<HBB", 2020, 1, 2)) + struct.pack(
        "<BH", 255, 0
    )
    length = steps.shape[1]
    definition = bytes([len(leads), 0x04 | len(leads) << 3 & 0xF8])
    definition += b"".join(struct.pack("<IIB", 1, length, codes[lead]) for lead in leads)
    rhythm = struct.pack("<HHBB", STEP * 1000, 1_000_000 // RATE, 0, 0)
    rhythm += struct.pack(f"<{len(leads)}H", *[2 * length] * len(leads))
    rhythm += steps.astype("<i2").tobytes()

    def section(number: int, body: bytes) -> bytes:
        body += b"\x00" * (len(body) % 2)
        head = struct.pack("<HIBB6s", number, len(body) + 16, 22, 22, b"SCPECG" * (number == 0))
        return struct.pack("<H", binascii.crc_hqx(head + body, 0xFFFF)) + head + body

    sections = {1: section(1, tags), 3: section(3, definition), 6: section(6, rhythm)}
    size = 16 + 10 * 12
    place, pointers = 7 + size, struct.pack("<HII", 0, size, 7)
    for number in range(1, 12):
        found = len(sections.get(number, b""))
        pointers += struct.pack("<HII", number, found, place if found else 0)
        place += found
    body = section(0, pointers) + b"".join(sections.values())
    rest = struct.pack("<I", len(body) + 6) + body
    path.write_bytes(struct.pack("<H", binascii.crc_hqx(rest, 0xFFFF)) + rest)
    return path


def write_dicom(
    path: Path, steps: Steps, leads: Sequence[str], mark: str = "", padding: int | None = None
) -> Path:
    """DICOM 12-lead ECG with one multiplex group; *padding* is its value of padding."""
    data = Dataset()
    data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.9.1.1"
    data.SOPInstanceUID = "1.2.3.4"
    data.Modality = "ECG"
    if mark:
        data.PatientName = data.OperatorsName = data.ReferringPhysicianName = f"{mark}^{mark}"
        data.PatientID = data.StudyID = data.InstitutionName = data.Manufacturer = mark
        data.StudyDescription = data.AccessionNumber = data.PatientComments = mark
    group = Dataset()
    group.WaveformOriginality = "ORIGINAL"
    group.NumberOfWaveformChannels = len(leads)
    group.NumberOfWaveformSamples = steps.shape[1]
    group.SamplingFrequency = RATE
    group.MultiplexGroupLabel = "RHYTHM"
    channels = []
    for lead in leads:
        channel, source, unit = Dataset(), Dataset(), Dataset()
        source.CodeValue, source.CodingSchemeDesignator = "2:1", "X"
        source.CodeMeaning = f"Lead {lead}"
        source.CodeValue = f"lead-{lead}"
        unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "uV", "UCUM", "microvolt"
        channel.ChannelSourceSequence = Items([source])
        channel.ChannelSensitivity = STEP
        channel.ChannelSensitivityUnitsSequence = Items([unit])
        channel.ChannelSensitivityCorrectionFactor = 1
        channel.ChannelBaseline = 0
        channel.WaveformBitsStored = 16
        channels.append(channel)
    group.ChannelDefinitionSequence = Items(channels)
    group.WaveformBitsAllocated = 16
    group.WaveformSampleInterpretation = "SS"
    if padding is not None:
        group.add_new(0x5400100A, "OW", struct.pack("<h", padding))
    group.add_new(0x54001010, "OW", steps.T.astype("<i2").tobytes())
    data.WaveformSequence = Items([group])
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # marks are longer than some fields may be
        pydicom.dcmwrite(path, data, enforce_file_format=True)
    return path


def _base64(row: Steps) -> str:
    return base64.b64encode(row.astype("<i2").tobytes()).decode("ascii")


#: What writes a format, by the name that ecgdatakit gives it.
WRITERS: dict[str, Callable[..., Path]] = {
    "HL7 aECG": write_aecg,
    "SCP-ECG": write_scp,
    "DICOM Waveform": write_dicom,
    "GE MUSE XML": write_muse,
    "Philips Sierra XML": write_philips,
    "Mortara ELI (EL250/ELI280)": write_mortara,
    "ISHNE Holter": write_ishne,
    "MFER": write_mfer,
    "AliveCor Kardia JSON": write_kardia,
}
