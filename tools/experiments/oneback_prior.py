#!/usr/bin/env python3
"""Measure what group maps are worth on a real run: one own block of each class, and maps of others.

  oneback_prior.py --betas FOLDER --parcels FOLDER --bundle sub.bundle

The bundle comes from `rtdecode calibrate` on the one-back run (trial types face, body, house,
scene). The maps are means of HCP's working-memory betas over all people (see hcp_people.py). Every
choice of one block of each class is learnt from once, and the other blocks are decoded. The share
of volumes is balanced over classes; chance is 33 %.
"""

import argparse
import itertools
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
from rich.console import Console

from calibration.compute import best_device, one_thread
from calibration.data.blocks import parse_classes
from calibration.data.calibration_data import CalibrationData
from calibration.data.labels import Labels, label_volumes
from calibration.decoders.head import Head
from calibration.decoders.lda import N_FEATURES, VOXEL_SHARE, fit_lda
from calibration.decoders.prior import PoolRule
from calibration.networks.features import network_features
from calibration.priors.group_maps import group_maps_prior
from calibration.weights import DEEPLIGHT_2D
from calibration.weights.pretrained import load_pretrained
from hcp_people import CLASSES, CONDITIONS, HcpPeople
from rtdecode import bundle as bundles
from rtdecode.types import Float32, Float64

WANTED = "face,body,house+scene:places"
MAPS = {"face": "faces", "body": "body", "places": "places"}
"""The condition of the betas for each class."""


def write_maps(people: HcpPeople, folder: Path) -> dict[str, Path]:
    """Write the mean map of each class as NIfTI; return the files."""
    files = {}
    for name, condition in MAPS.items():
        rows = list(CONDITIONS[CLASSES[CLASSES.index(condition)]])
        values = people.paint(people.activity[:, rows].mean(axis=(1, 2)))
        files[name] = folder / f"{name}.nii.gz"
        image = nib.Nifti1Image(values.astype(np.float32), np.array(DEEPLIGHT_2D.affine))
        nib.save(image, files[name])
    return files


def logits_of(head: Head, features: Float32) -> Float64:
    """Return centred logits (m, K)."""
    logits = features.astype(np.float32) @ head.weight.T + head.bias
    return np.asarray(logits - logits.mean(axis=1, keepdims=True), dtype=np.float64)


def share(logits: Float64, labels: Labels, rows: np.ndarray) -> float:
    """Return the share of volumes decoded correctly, balanced over classes."""
    truth = labels.label[rows]
    right = logits.argmax(axis=1) == truth
    return float(np.mean([right[truth == c].mean() for c in range(labels.n_classes)]))


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--betas", type=Path, required=True, help="folder of the HCP betas")
    parser.add_argument("--parcels", type=Path, required=True, help="folder of the parcels")
    parser.add_argument("--bundle", type=Path, required=True, help="bundle of the one-back run")
    options = parser.parse_args()
    bundle = bundles.load(options.bundle)
    data = CalibrationData.load(bundle)
    spec = parse_classes(WANTED, [block.trial_type for run in data.blocks for block in run])
    labels = label_volumes(
        data.blocks, [data.acquired_s], spec, bundle.manifest.haemodynamic_lag_s
    ).only_usable(data.usable)
    mask = np.asarray(bundle.space.mask)
    people = HcpPeople.load(options.betas, options.parcels, noise=1.0)
    with tempfile.TemporaryDirectory() as folder:
        maps = write_maps(people, Path(folder))
        affine = np.array(bundle.manifest.model_affine)
        prior = group_maps_prior(maps, labels.classes, data.prepared, mask, affine).prior
    with one_thread():
        network = load_pretrained("deeplight-2d").network
        deep = network_features(network, data.prepared, mask, (10,), device=best_device())[10]
    n_voxels = max(1, round(VOXEL_SHARE * data.prepared.shape[1]))
    of = labels.block_labels()
    blocks = [[n for n in range(len(of)) if of[n] == c] for c in range(labels.n_classes)]
    own_share = PoolRule().own_share(1)
    found: dict[str, list[float]] = {}
    for choice in itertools.product(*blocks):
        learnt = np.isin(labels.block, choice)
        test = np.flatnonzero(labels.chosen & ~learnt)
        used = labels.only_usable(learnt | labels.rest)
        rows = np.flatnonzero(used.chosen | used.rest)
        fits = {
            "voxels, own data": (data.prepared, n_voxels),
            "convolution 10, own data": (deep, N_FEATURES),
        }
        logits = {
            name: logits_of(fit_lda(x[rows], used.take(rows), n), x[test])
            for name, (x, n) in fits.items()
        }
        nothing = labels.only_usable(np.zeros(len(labels.label), bool))
        own = (logits["voxels, own data"] + logits["convolution 10, own data"]) / 2
        alone = prior.head(data.prepared, nothing)
        logits["maps alone"] = logits_of(alone, data.prepared[test])
        with_maps = logits_of(prior.head(data.prepared, used), data.prepared[test])
        logits["pool"] = own_share * own + (1 - own_share) * with_maps
        for name, values in logits.items():
            found.setdefault(name, []).append(share(values, labels, test))
    console = Console()
    for name, shares in found.items():
        console.print(
            f"{name:26s} {np.mean(shares):.0%}, lowest {min(shares):.0%}, of {len(shares)} choices"
        )


if __name__ == "__main__":
    main()
