"""A decoder that is not what was judged is not written."""

from dataclasses import replace

import numpy as np
import pytest

from calibration.bundling.assemble_decoder import assemble_fitted
from calibration.bundling.bundle_content import BundleContent
from calibration.bundling.check_decoder import check_training_accuracy
from calibration.bundling.write_bundle import check_whole_run, write_bundle
from calibration.data.calibration_data import CalibrationData
from calibration.data.prepared_runs import PREPARATION, PreparedRuns, prepare_run
from calibration.networks import StreamingDecoder
from calibration.progress import silent
from rtdecode import bundle as bundles
from rtdecode.engine import Engine
from rtdecode.errors import RunError
from rtdecode.stages import Preparation


def test_a_decoder_that_decides_what_it_was_fitted_to_passes(made) -> None:
    """As the calibration's own does."""
    labels = made.fitted.fitted.labels
    check_training_accuracy(made.fitted.fitted, labels.label, np.arange(len(labels.label)))


@pytest.mark.parametrize("decided", [-1, 2])
def test_a_decoder_that_decides_none_of_it_is_refused(made, decided) -> None:
    """Whether it never decides or always wrongly: both figures are told."""
    labels = made.fitted.fitted.labels
    silent = np.full(len(labels.label), decided)
    with pytest.raises(RunError, match="decodes 0% of the volumes that it was fitted to"):
        check_training_accuracy(made.fitted.fitted, silent, np.arange(len(silent)))


@pytest.fixture
def draft(made, tmp_path):
    """Return a bundle that is not complete yet, and what it is made of."""
    calibrated = made.fitted
    space, manifest = calibrated.bundle.space, calibrated.bundle.manifest
    stages = Preparation(space, manifest.preparation)
    initial = {
        name.removeprefix(PREPARATION): array
        for name, array in calibrated.bundle.initial_state.items()
        if name.startswith(PREPARATION)
    }
    prepared, _ = prepare_run(stages, initial, made.with_gap, silent, "")
    ready = PreparedRuns(
        stages, space, initial, calibrated.registration, "", 1.0, (tuple(prepared),), {}, None
    )
    decoder = assemble_fitted(calibrated.fitted, made.pretrained, space, 2.0)
    parts = BundleContent(
        decoder, made.pretrained, [made.with_gap], ready, calibrated.fitted,
        CalibrationData.load(calibrated.bundle),
    )  # fmt: skip
    return write_bundle(parts, tmp_path / "out", "draft", 0, silent), parts


def test_a_draft_can_be_served_before_it_is_complete(draft, made) -> None:
    """It loads and decides; a few volumes agreed with torch, gaps and a restored state included."""
    written, _ = draft
    served = Engine(bundles.load(written.bundle.path))
    decided = [served.step(volume).label for volume in made.volumes[:30]]
    assert len(decided) == 30
    assert 15 <= written.bundle.manifest.parity["volumes"] <= 22
    assert written.bundle.manifest.metrics.comparison == ()
    assert not (written.bundle.path / "report.html").exists()


def test_a_bundle_that_fails_the_whole_run_is_withdrawn(draft) -> None:
    """Another temperature than the exported one: the bundle gets another name, and why is told."""
    written, parts = draft
    settings = replace(parts.decoder.settings, temperature=3 * parts.decoder.settings.temperature)
    other = StreamingDecoder(parts.decoder.evidence, settings)
    spoilt = replace(written, export=replace(written.export, decoder=other))
    with (
        pytest.raises(RunError, match=r"differs from torch.*withdrawn.*out\.withdrawn"),
        check_whole_run(spoilt, parts, silent),
    ):
        pass
    assert not written.bundle.path.exists()
    assert (written.bundle.path.parent / "out.withdrawn").is_dir()


def test_what_fails_meanwhile_is_told_and_leaves_the_bundle(draft) -> None:
    """A full disk while the report is written costs the report only."""
    written, parts = draft
    with pytest.raises(OSError, match="full"), check_whole_run(written, parts, silent):
        raise OSError("full")
    assert bundles.load(written.bundle.path).digest == written.bundle.digest
