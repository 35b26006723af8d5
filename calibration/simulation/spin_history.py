"""The effect of a movement on the brightness of slices.

Tissue that moves into a slice was excited with the neighbouring slice. In an interleaved scan this
is half a repetition time earlier or later, so that the tissue is darker or brighter until it
reaches its steady state (Friston et al. 1996; Muresan et al. 2005). Even and odd slices change in
opposite directions, which shows as stripes.
"""

import numpy as np

from calibration.simulation.epi_protocol import EpiProtocol, rigid
from rtdecode.types import Float64, Motion

T1_S = 1.3
"""T1 of grey matter at 3 T."""


def slice_brightness(
    motion: tuple[Motion, ...], affine: Float64, centre_mm: Float64, protocol: EpiProtocol
) -> Float64:
    """Return the factor on the brightness of each volume's slices, (volumes, slices).

    Parameters
    ----------
    motion
        Motion of each volume.
    affine
        Voxel to scanner millimetres, (4, 4).
    centre_mm
        Centre of rotation of `motion`.
    protocol
        The slices, repetition time and flip angle.
    """
    flip = np.cos(np.deg2rad(protocol.flip_angle_deg))
    repetition_s = protocol.repetition_time_s

    def recovery(before: float, seconds: float) -> float:
        return 1 - (1 - before) * float(np.exp(-seconds / T1_S))

    steady = (1 - np.exp(-repetition_s / T1_S)) / (1 - flip * np.exp(-repetition_s / T1_S))
    after_pulse = float(steady * flip)
    slices = protocol.matrix[2]
    gain = np.where(
        np.arange(slices) % 2 == 0,
        recovery(after_pulse, 1.5 * repetition_s) / steady - 1,
        recovery(after_pulse, 0.5 * repetition_s) / steady - 1,
    )
    middle = (np.array(protocol.matrix) - 1) / 2
    centres = np.repeat(middle[:, None], slices, axis=1)
    centres[2] = np.arange(slices)
    centres = affine[:3, :3] @ centres + affine[:3, 3:]
    normal = affine[:3, 2] / np.linalg.norm(affine[:3, 2])
    thickness = protocol.voxel_mm[2]
    retention = float(np.exp(-repetition_s / T1_S) * flip)
    factors = np.ones((len(motion), slices))
    last_height = None
    for volume, pose in enumerate(motion):
        transform = rigid(pose.as_array(), centre_mm)
        height = normal @ (transform[:3, :3] @ centres + transform[:3, 3:])
        if last_height is not None:
            share = np.minimum(np.abs(height - last_height) / thickness, 1.0)
            factors[volume] = 1 + (factors[volume - 1] - 1) * retention + gain * share
        last_height = height
    return factors
