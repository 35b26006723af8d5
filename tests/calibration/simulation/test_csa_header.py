import pytest

from calibration.simulation.csa_header import CsaElement, encode


@pytest.mark.filterwarnings("ignore:The DICOM readers are highly experimental")
def test_nibabel_reads_it():
    """An independent reader finds every element with its values."""
    from nibabel.nicom import csareader

    header = encode(
        [
            CsaElement("NumberOfImagesInMosaic", "US", ("36",)),
            CsaElement("SliceNormalVector", "FD", ("0.00000000", "-0.10000000", "0.99498744")),
            CsaElement("MosaicRefAcqTimes", "FD", tuple(f"{i:.1f}" for i in range(9))),
        ]
    )
    tags = csareader.read(header)["tags"]
    assert tags["NumberOfImagesInMosaic"]["items"] == [36]
    assert tags["SliceNormalVector"]["items"] == [0.0, -0.1, 0.99498744]
    assert tags["MosaicRefAcqTimes"]["items"] == [float(i) for i in range(9)]
