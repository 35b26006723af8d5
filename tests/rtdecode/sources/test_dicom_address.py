"""How a DICOM receiver's address is written."""

import pytest

from rtdecode.errors import ConfigError
from rtdecode.sources.dicom_address import DicomAddress, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("dicom://127.0.0.1:11112", DicomAddress("127.0.0.1", 11112, "RTDECODE", ())),
        ("dicom://localhost:104/?aet=FMRI", DicomAddress("127.0.0.1", 104, "FMRI", ())),
        ("dicom://:0?aet=A%20B", DicomAddress("127.0.0.1", 0, "A B", ())),
        ("dicom://[::1]:11112?from=MR1", DicomAddress("::1", 11112, "RTDECODE", ("MR1",))),
        (
            "dicom://0.0.0.0:11112?aet=RT&from=MR1,MR2",
            DicomAddress("0.0.0.0", 11112, "RT", ("MR1", "MR2")),  # noqa: S104 - as asked
        ),
    ],
)
def test_an_address_is_read(text: str, address: DicomAddress):
    """What is left out has the careful default."""
    assert parse_address(text) == address


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("dicom://scanner:11112", ["is not an address"]),
        ("dicom://127.0.0.1:99999", ["is not an address"]),
        ("dicom://127.0.0.1:x", ["is not an address"]),
        ("dicom:11112", ["is not an address", "names no port"]),
        ("dicom://127.0.0.1", ["names no port"]),
        ("dicom://127.0.0.1:1/path", ["is not an address"]),
        ("dicom://127.0.0.1:1?aet=", ["is not an AE title"]),
        ("dicom://127.0.0.1:1?aet=SEVENTEEN_LETTERS", ["is not an AE title"]),
        ("dicom://127.0.0.1:1?from=MR1,,a%5Cb", ["'' is not an AE title", "is not an AE title"]),
        ("dicom://127.0.0.1:1?form=MR1&aet=A&aet=B", ["form, aet unknown or twice"]),
        ("dicom://0.0.0.0:1", ["name those that may send"]),
        (
            "dicom://192.168.2.1?aet=%5C",
            ["no port", "is not an AE title", "name those that may send"],
        ),
    ],
)
def test_every_problem_is_named(text: str, problems: list[str]):
    """All at once, each with what is allowed."""
    with pytest.raises(ConfigError) as refused:
        parse_address(text)
    assert len(refused.value.problems) == len(problems)
    for reported, problem in zip(refused.value.problems, problems, strict=True):
        assert problem in reported
