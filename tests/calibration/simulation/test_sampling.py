import numpy as np
from scipy import ndimage

from calibration.simulation.sampling import trilinear


def test_agrees_with_scipy(rng):
    """Inside the volume it is linear interpolation; outside it gives 0."""
    volume = rng.standard_normal((7, 8, 9), dtype=np.float32)
    points = rng.uniform(-3, 11, (3, 400)).astype(np.float32)
    to_voxels = np.hstack([np.diag([0.9, 1.1, -1.0]), [[0.2], [-0.3], [7.5]]]).astype(np.float32)
    out = np.full(400, np.nan, dtype=np.float32)
    trilinear(volume, to_voxels, points, out)
    voxels = to_voxels[:, :3] @ points + to_voxels[:, 3:]
    inside = np.all((voxels >= 0) & (voxels < np.array([[6], [7], [8]])), axis=0)
    expected = ndimage.map_coordinates(volume, voxels, order=1)
    np.testing.assert_allclose(out[inside], expected[inside], atol=1e-5)
    assert not out[~inside].any()
    assert 20 < inside.sum() < 380
