"""Archives that speak DICOMweb: what is asked of them, and what is made of those that lie."""

import base64

import pytest

from segmend.errors import ArchiveError, LimitError, SettingsError
from segmend.io.dicomweb import Archive, ArchivedSeries, Study
from tests.io.archive import parts, serving

FILES = "/studies/1.2/series/1.2.3"
LIST = [
    {
        "0020000D": {"vr": "UI", "Value": ["1.2"]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane\x1b[2J"}]},
        "00100020": {"vr": "LO", "Value": ["12345"]},
        "00080020": {"vr": "DA", "Value": ["20240102"]},
        "00080061": {"vr": "CS", "Value": ["CT", "SEG"]},
    },
    {"0020000D": {"vr": "UI"}},
]


@pytest.fixture(scope="module")
def running():
    with serving() as both:
        yield both


@pytest.fixture
def pacs(running):
    pacs, _ = running
    pacs.replies.clear()
    pacs.asked.clear()
    return pacs


@pytest.fixture
def archive(running):
    return Archive(running[1], silent_seconds=5)


def test_studies_are_listed_as_they_are_asked_for(pacs, archive):
    pacs.says("/studies", LIST)
    found = archive.studies(limit=5, offset=10, PatientName="Doe*", StudyDate="20240101-20240131")

    assert found[0] == Study("1.2", "Doe^Jane[2J", "12345", "2024-01-02", "", ("CT", "SEG"))
    assert found[1] == Study("", "", "", "", "", ())
    asked, headers = pacs.asked[0]
    assert "PatientName=Doe*&" in asked and "StudyDate=20240101-20240131" in asked
    assert "limit=5" in asked and "offset=10" in asked
    assert headers["Accept"] == "application/dicom+json" and "Authorization" not in headers


def test_no_content_is_an_empty_list(pacs, archive):
    pacs.says("/studies", b"", 204)

    assert archive.studies() == []


def test_series_are_listed_and_found_without_their_study(pacs, archive):
    one = {"0020000E": {"Value": ["1.2.3"]}, "0020000D": {"Value": ["1.2"]}, "00080060": {"Value": ["CT"]}}
    pacs.says("/studies/1.2/series", [{**one, "00201209": {"Value": ["24"]}}])
    pacs.says("/series", [one])

    assert archive.series("1.2") == [ArchivedSeries("1.2.3", "1.2", "CT", "", 24)]
    assert archive.find_series("1.2.3") == ArchivedSeries("1.2.3", "1.2", "CT", "", None)
    with pytest.raises(ArchiveError, match=r"has no series 1\.2\.4, or does not say in which study"):
        archive.find_series("1.2.4")
    del pacs.replies["/series"]
    with pytest.raises(ArchiveError, match=r"It has no such thing\. Name the study, too\."):
        archive.find_series("1.2.3")


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        ("ada:secret", f"Basic {base64.b64encode(b'ada:secret').decode()}"),
        ("ada:se:cret\n", f"Basic {base64.b64encode(b'ada:se:cret').decode()}"),
        ("Bearer abc.def\n", "Bearer abc.def"),
    ],
)
def test_credentials_go_into_a_header(running, pacs, said, sent):
    pacs.says("/studies", [])
    Archive(running[1], credentials=said).studies()

    path, headers = pacs.asked[0]
    assert headers["Authorization"] == sent and "secret" not in path


@pytest.mark.parametrize("said", ["ada", "two\nlines:x", "a:\x00"])
def test_credentials_that_are_none_are_refused(said):
    with pytest.raises(SettingsError, match="Credentials need to be"):
        Archive("http://localhost/dicom-web", credentials=said)


@pytest.mark.parametrize(
    "address",
    ["", "pacs", "ftp://pacs/x", "file:///etc/passwd", "http://", "http://pacs:0/", "http://pacs:x/", "http://p/a b",
     "http://p/x?y", "http://p/x#y", "http://ada:secret@pacs/", "http://[/", "http://p/\r\nX: y"],
)  # fmt: skip
def test_addresses_that_are_none_are_refused(address):
    with pytest.raises(SettingsError, match=r"An archive") as raised:
        Archive(address)
    assert "secret" not in str(raised.value)


def test_the_files_of_a_series_are_written_as_they_come(pacs, archive, tmp_path):
    files = [b"DICM" + bytes([n]) * (1 << n) + b"\r\n--cut" for n in range(21)]
    pacs.has(FILES, files)
    told = []

    found = archive.fetch("1.2", "1.2.3", tmp_path, progress=lambda *said: told.append(said))

    assert [path.read_bytes() for path in found] == files
    assert told[-1][0] == 21 and len(told) > 1
    assert pacs.asked[0][1]["Accept"] == 'multipart/related; type="application/dicom"; transfer-syntax=*'


def _headers(boundary="cut-here"):
    return {"kind": f"multipart/related; boundary={boundary}"}


WHOLE = parts([b"one", b"two"])
LIES = {
    "a redirect": ({"content": b"", "status": 302, "Location": "http://169.254.169.254/latest"}, "sends us elsewhere"),
    "no files": (dict(content=b"--cut-here--\r\n", **_headers()), "sent no files|damaged|too early"),
    "nothing": (dict(content=b"", **_headers()), "too early"),
    "another boundary": (dict(content=WHOLE, **_headers("other")), "damaged"),
    "no boundary": ({"content": WHOLE, "kind": "multipart/related"}, "sent no files but multipart/related"),
    "a page": ({"content": b"<html>", "kind": "text/html"}, "sent no files but text/html"),
    "the half": (dict(content=WHOLE[:-20], **_headers()), "too early"),
    "noise": (dict(content=b"\x00" * 99, **_headers()), "damaged"),
    "an error": ({"content": b"", "status": 500}, r"refused \(status 500\)"),
    "no entry": ({"content": b"", "status": 401}, "It wants other credentials"),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_archive_that_lies_is_refused(pacs, archive, tmp_path, lie):
    reply, words = LIES[lie]
    pacs.says(FILES, **reply)

    with pytest.raises(ArchiveError, match=words):
        archive.fetch("1.2", "1.2.3", tmp_path)
    assert len(pacs.asked) == 1


def test_addresses_that_an_archive_names_are_never_asked(pacs, archive, tmp_path):
    with serving() as (elsewhere, foreign):
        elsewhere.has(FILES, [b"another's"])
        bulk = {"vr": "OW", "BulkDataURI": f"{foreign}{FILES}"}
        named = {"00081190": {"vr": "UR", "Value": [f"{foreign}{FILES}"]}, "7FE00010": bulk}
        one = {"0020000E": {"Value": ["1.2.3"]}, "0020000D": {"Value": ["1.2"]}, **named}
        pacs.says("/studies", [{**LIST[0], **named}])
        pacs.says("/studies/1.2/series", [one])
        pacs.says("/series", [one])
        pacs.has(FILES, [b"its own"], Location=f"{foreign}{FILES}", Content_Location=f"{foreign}{FILES}")

        (study,) = archive.studies()
        assert archive.series(study.uid) == [archive.find_series("1.2.3")]
        (path,) = archive.fetch("1.2", "1.2.3", tmp_path)

        assert path.read_bytes() == b"its own" and elsewhere.asked == []


def test_an_archive_that_announces_more_than_it_sends_is_refused(pacs, running, tmp_path):
    pacs.says(FILES, WHOLE[:-9], **_headers())
    status, headers, body = pacs.replies[FILES]
    pacs.replies[FILES] = (status, {**headers, "Content-Length": str(10 << 30)}, body)

    with pytest.raises(ArchiveError, match=r"too early|does not answer"):
        Archive(running[1], silent_seconds=1).fetch("1.2", "1.2.3", tmp_path)


def test_a_series_that_is_too_large_is_refused_while_it_comes(pacs, archive, tmp_path):
    pacs.has(FILES, [bytes(1000)] * 5)

    with pytest.raises(LimitError, match="A series may have 2000 bytes here"):
        archive.fetch("1.2", "1.2.3", tmp_path, most_bytes=2000)


@pytest.mark.parametrize("content", [b"{", b"3", b'["x"]', b"[" * 100_000, b"<html>"])
def test_lists_that_are_none_are_refused(pacs, archive, content):
    pacs.says("/studies", content)

    with pytest.raises(ArchiveError, match=r"none of DICOMweb|not JSON"):
        archive.studies()


@pytest.mark.parametrize("uid", ["", "../x", "1.2/../3", "1" * 65, "1.2\r\n", "a"])
def test_what_is_no_uid_is_never_asked_for(pacs, archive, tmp_path, uid):
    with pytest.raises(SettingsError, match="A DICOM UID has"):
        archive.fetch("1.2", uid, tmp_path)
    assert pacs.asked == []


def test_nobody_there_is_said(tmp_path):
    with pytest.raises(ArchiveError, match=r"The archive at 127\.0\.0\.1 does not answer"):
        Archive("http://127.0.0.1:9/").studies()


def test_files_are_sent_and_what_was_kept_is_told(pacs, archive, tmp_path):
    files = [tmp_path / name for name in ("a.dcm", "b.dcm")]
    for path in files:
        path.write_bytes(path.name.encode() * 99)
    kept = {"00081199": {"Value": [{"00081155": {"Value": ["1.2.3"]}}]}}
    refused = {"00081198": {"Value": [{"00081155": {"Value": ["1.2.4"]}, "00081197": {"Value": [272]}}]}}
    for status, said in ((200, kept), (202, {**kept, **refused}), (409, refused)):
        pacs.says("/studies", said, status)
        sent = archive.send(files)
        assert sent.stored == (("1.2.3",) if status < 400 else ())
        assert dict(sent.refused) == ({} if status == 200 else {"1.2.4": 272})
    boundary = pacs.asked[-1][1]["Content-Type"].partition("boundary=")[2]
    assert pacs.received == parts([path.read_bytes() for path in files], boundary)
    for said in ([], {}, b"", b"<html>"):
        pacs.says("/studies", said)
        with pytest.raises(ArchiveError, match=r"does not say what it kept|not JSON"):
            archive.send(files)
