"""Bundles are whole or they are nothing."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from rtdecode import bundle as bundles
from rtdecode.bundle import MANIFEST, REQUIRED, Bundle
from rtdecode.errors import BundleError
from rtdecode.metrics import Accuracy, Compared
from rtdecode.supplement import Supplement, write_supplement


def _edit(folder: Path, **changes: object) -> None:
    manifest = json.loads((folder / MANIFEST).read_bytes())
    (folder / MANIFEST).write_text(json.dumps(manifest | changes), encoding="utf-8")


def _named(folder: Path, **files: str | None) -> None:
    """Change what the manifest says of some files; None takes a file out of it."""
    manifest = json.loads((folder / MANIFEST).read_bytes())
    changed = manifest["files"] | files
    _edit(folder, files={name: digest for name, digest in changed.items() if digest is not None})


def _problems(folder: Path) -> tuple[str, ...]:
    with pytest.raises(BundleError) as caught:
        bundles.load(folder)
    return caught.value.problems


def test_what_was_written_is_what_is_loaded(parts, make_metrics, tmp_path) -> None:
    """Every part comes back with the bits it went in with, and so does what `write` returns."""
    accuracy = Accuracy(0.75, 0.9, 1.0, (0.6, 0.8), (0.7, 1.0), (0.4, 1.0))
    metrics = make_metrics(
        p_value=None,
        comparison=(Compared("motion alone", "control", accuracy, 0.7),),
        notes=("few blocks",),
    )
    manifest = replace(parts.manifest, metrics=metrics)
    written = replace(parts, manifest=manifest).write(tmp_path / "new" / "bundle")
    read = bundles.load(str(tmp_path / "new" / "bundle"))
    assert read.manifest == written.manifest == replace(manifest, files=read.manifest.files)
    assert read.path == written.path == tmp_path / "new" / "bundle"
    assert read.digest == written.digest
    assert read.decoder == parts.decoder.read_bytes()
    for name in ("reference", "reference_affine", "mask", "grid_affine", "coordinates_mm"):
        expected, found = getattr(parts.space, name), getattr(read.space, name)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    assert read.initial_state.keys() == parts.initial.keys()
    for name, array in parts.initial.items():
        assert read.initial_state[name].tobytes() == array.tobytes()


def test_a_manifest_from_before_there_was_a_filter_is_read(
    bundle, bundle_folder, make_metrics
) -> None:
    """Without the fields that it did not know, it is a window's."""
    metrics = json.loads(msgspec.json.encode(make_metrics()))
    del metrics["read_outs"]
    manifest = json.loads((bundle_folder / MANIFEST).read_bytes()) | {"metrics": metrics}
    del manifest["read_out"], manifest["dwell_s"]
    (bundle_folder / MANIFEST).write_text(json.dumps(manifest))

    found = bundles.load(bundle_folder).manifest

    assert found == replace(bundle.manifest, metrics=make_metrics())
    assert (found.read_out, found.dwell_s, found.metrics.read_outs) == ("window", None, ())


def test_a_filter_needs_its_dwell_time(bundle_folder) -> None:
    """And a window has none."""
    _edit(bundle_folder, read_out="filter")
    assert "dwell_s is for a filter" in _problems(bundle_folder)[0]
    _edit(bundle_folder, read_out="window", dwell_s=4.0)
    assert "dwell_s is for a filter" in _problems(bundle_folder)[0]


def test_a_supplement_completes_a_bundle_that_is_in_use(parts, make_metrics, tmp_path) -> None:
    """The digest stays; figures, notes, parity and files are added, and files are vouched for."""
    report = tmp_path / "written.html"
    report.write_text("<p>64 %</p>", encoding="utf-8")
    folder = tmp_path / "bundle"
    metrics = make_metrics(notes=("few blocks",))
    served = replace(parts, manifest=replace(parts.manifest, metrics=metrics)).write(folder)
    row = Compared("motion alone", "control", metrics.accuracy, 0.7)
    supplement = Supplement(served.digest, {"volumes": 156.0}, (row,), ("few blocks", "moved"))
    complete = bundles.add(served, supplement, {"report.html": report})
    assert complete.digest == served.digest
    assert complete.decoder == served.decoder
    assert complete.manifest.parity == {"volumes": 156.0}
    assert complete.manifest.metrics.comparison == (row,)
    assert complete.manifest.metrics.notes == ("few blocks", "moved")
    assert complete.manifest.metrics.accuracy == metrics.accuracy
    assert not list(folder.glob("*.part"))
    assert (folder / "report.html").read_text(encoding="utf-8") == "<p>64 %</p>"
    assert "report.html" in bundles.load(folder).manifest.files
    (folder / "report.html").write_text("<p>99 %</p>", encoding="utf-8")
    assert any("report.html" in problem for problem in _problems(folder))


def test_a_supplement_of_another_bundle_is_refused(parts, tmp_path) -> None:
    """Nobody's figures are shown as another's."""
    served = parts.write(tmp_path / "bundle")
    write_supplement(served.path, Supplement("0" * 12, {}))
    assert f"belongs to bundle {'0' * 12}" in _problems(served.path)[0]
    (served.path / "supplement.json").write_text("{", encoding="utf-8")
    assert "not a valid supplement" in _problems(served.path)[0]


def test_a_withdrawn_bundle_has_another_name(parts, tmp_path) -> None:
    """Nobody takes it by accident; an earlier withdrawn one stays."""
    names = []
    for _ in range(2):
        served = parts.write(tmp_path / "bundle")
        names.append(bundles.withdraw(served).name)
        assert not served.path.exists()
    assert names == ["bundle.withdrawn", "bundle.withdrawn-2"]


def test_folder_holds_what_the_manifest_names(bundle: Bundle) -> None:
    """There is no file that the manifest does not vouch for, and none of the writing is left."""
    assert sorted(p.name for p in bundle.path.iterdir()) == sorted([*REQUIRED, MANIFEST])
    assert sorted(bundle.manifest.files) == sorted(REQUIRED)
    assert [p.name for p in bundle.path.parent.iterdir()] == ["tiny"]
    content = (bundle.path / MANIFEST).read_bytes()
    assert bundle.digest == hashlib.sha256(content).hexdigest()[:12]


def test_digest_covers_every_file(bundle: Bundle, parts, tmp_path) -> None:
    """Another decoder in the same bundle gives another digest; the same one gives the same."""
    assert parts.write(tmp_path / "same").digest == bundle.digest
    other = tmp_path / "decoder.onnx"
    content = bytearray(parts.decoder.read_bytes())
    content[-1] ^= 1
    other.write_bytes(bytes(content))
    assert replace(parts, decoder=other).write(tmp_path / "other").digest != bundle.digest


@pytest.mark.parametrize("name", REQUIRED)
def test_one_flipped_bit_is_named(bundle_folder, name) -> None:
    """A bundle of which any file differs by a bit is refused, and the file is named."""
    content = bytearray((bundle_folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle_folder / name).write_bytes(bytes(content))
    (problem,) = _problems(bundle_folder)
    assert str(bundle_folder / name) in problem
    assert "altered" in problem
    assert "copy it again" in problem


def test_everything_wrong_is_named_at_once(bundle_folder) -> None:
    """Altered, missing and unnamed files are reported in one go, one line each."""
    (bundle_folder / "decoder.onnx").write_bytes(b"something else")
    (bundle_folder / "sampling.npz").unlink()
    _named(bundle_folder, **{"mask.nii.gz": None, "../decoder.onnx": "0" * 64})
    problems = _problems(bundle_folder)
    assert len(problems) == 4
    expected = {
        "decoder.onnx: altered": 1,
        "sampling.npz: missing": 1,
        "does not name mask.nii.gz": 1,
        "'../decoder.onnx' is not a plain file name": 1,
    }
    found = {text: sum(text in problem for problem in problems) for text in expected}
    assert found == expected


@pytest.mark.parametrize("name", ["../outside", "sub/inside", "/etc/hostname", "./decoder.onnx"])
def test_path_for_a_file_name_is_refused_unread(bundle_folder, name) -> None:
    """A manifest leads nowhere outside its folder, even where the digest there is right."""
    outside = bundle_folder.parent / "outside"
    outside.write_bytes(b"x")
    _named(bundle_folder, **{name: hashlib.sha256(b"x").hexdigest()})
    (problem,) = _problems(bundle_folder)
    assert f"{name!r} is not a plain file name" in problem


@pytest.mark.parametrize("schema", [0, 2, 99])
def test_other_schema_is_told_apart_from_damage(bundle_folder, schema) -> None:
    """A manifest of another schema is refused as such, whatever fields it has."""
    manifest = {"schema": schema, "decoders": ["of", "the", "future"]}
    (bundle_folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    (problem,) = _problems(bundle_folder)
    assert f"schema {schema}, this rtdecode reads 1" in problem
    assert "calibrate again" in problem


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b'{"schema": "1"}', b'{"schema": 1}', b"\xff\xfe"]
)
def test_damaged_manifest_is_refused(bundle_folder, content) -> None:
    """Whatever is no manifest is a BundleError that names the file."""
    (bundle_folder / MANIFEST).write_bytes(content)
    (problem,) = _problems(bundle_folder)
    assert f"{bundle_folder / MANIFEST}: not a valid manifest" in problem


def test_wrong_field_of_a_manifest_is_named(bundle_folder) -> None:
    """The message says which field does not hold what it should."""
    _edit(bundle_folder, window_volumes="eight")
    (problem,) = _problems(bundle_folder)
    assert "$.window_volumes" in problem


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"classes": ["face"]}, "at least two classes"),
        ({"repetition_time_s": 0.0}, "repetition_time_s must be positive"),
        ({"repetition_time_s": -2.0}, "repetition_time_s must be positive"),
    ],
)
def test_impossible_values_are_refused(bundle_folder, changes, text) -> None:
    """A manifest that is valid JSON may still describe no decoder."""
    _edit(bundle_folder, **changes)
    (problem,) = _problems(bundle_folder)
    assert text in problem


@pytest.mark.parametrize("there", [False, True])
def test_folder_without_manifest_is_no_bundle(tmp_path, there) -> None:
    """An absent folder and any other folder are reported so, with where bundles come from."""
    folder = tmp_path / "other"
    if there:
        folder.mkdir()
    (problem,) = _problems(folder)
    assert f"{folder} is not a bundle" in problem
    assert "rtdecode calibrate" in problem


@pytest.mark.parametrize("name", [name for name in REQUIRED if name != "decoder.onnx"])
def test_file_that_is_vouched_for_and_unreadable_is_refused(bundle_folder, name) -> None:
    """Even a right digest does not make a file of another kind a part of a bundle."""
    (bundle_folder / name).write_bytes(b"no such format")
    _named(bundle_folder, **{name: hashlib.sha256(b"no such format").hexdigest()})
    (problem,) = _problems(bundle_folder)
    assert str(bundle_folder) in problem
    assert "calibrate again" in problem


def test_mask_on_another_grid_is_refused(bundle_folder) -> None:
    """Mask and manifest must agree on the decoder's grid."""
    _edit(bundle_folder, model_shape=[10, 12, 11])
    (problem,) = _problems(bundle_folder)
    assert "(10, 12, 10)" in problem
    assert "(10, 12, 11)" in problem


def test_existing_folder_is_never_written_to(parts, tmp_path) -> None:
    """Writing refuses any path that exists, and leaves what is there."""
    (tmp_path / "note.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(BundleError, match="already exists"):
        parts.write(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["note.txt"]


def test_nothing_is_left_when_a_part_cannot_be_written(parts, tmp_path) -> None:
    """A decoder that is not there stops the writing without a trace of it."""
    with pytest.raises(FileNotFoundError):
        replace(parts, decoder=tmp_path / "absent.onnx").write(tmp_path / "bundle")
    assert not list(tmp_path.iterdir())


def test_nothing_is_left_when_the_bundle_would_not_load(parts, tmp_path) -> None:
    """What `load` would refuse never gets its name."""
    manifest = replace(parts.manifest, classes=("one",))
    with pytest.raises(BundleError, match="two classes"):
        replace(parts, manifest=manifest).write(tmp_path / "bundle")
    assert not list(tmp_path.iterdir())
