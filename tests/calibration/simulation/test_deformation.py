import numpy as np

from calibration.simulation.deformation import AnatomySettings, draw_deformation


def _points(rng):
    return rng.uniform(-60, 60, (3, 500))


def test_inverse_leads_back(rng):
    """Going from MNI to the head and back ends within a hundredth of a millimetre."""
    deformation = draw_deformation(AnatomySettings(), rng)
    mni = _points(rng)
    np.testing.assert_allclose(deformation.to_mni(deformation.from_mni(mni)), mni, atol=0.01)


def test_heads_differ_as_far_as_asked(rng):
    """With all spreads at zero a head is a scaled MNI head; the displacement has its size."""
    same = AnatomySettings(size_spread=0.0, shear_deg=0.0, displacement_mm=0.0)
    points = _points(rng)
    np.testing.assert_allclose(
        draw_deformation(same, rng).to_mni(points), points / same.size, atol=1e-6
    )
    displacement = draw_deformation(AnatomySettings(), rng).displacement_mm
    np.testing.assert_allclose(displacement.std(axis=(1, 2, 3)), 2.5, rtol=1e-3)


def test_space_never_folds(rng):
    """Neighbouring points keep their order, so that no tissue appears twice."""
    for _ in range(5):
        deformation = draw_deformation(AnatomySettings(), rng)
        points = _points(rng)
        steps = [deformation.to_mni(points + 2 * np.eye(3)[:, [a]]) for a in range(3)]
        jacobian = (np.array(steps) - deformation.to_mni(points)).transpose(2, 1, 0) / 2
        assert np.linalg.det(jacobian).min() > 0.3
