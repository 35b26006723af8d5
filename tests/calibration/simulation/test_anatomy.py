import numpy as np

from calibration.simulation.anatomy import HeadTemplate


def _mean(template: HeadTemplate, where: np.ndarray) -> float:
    return float(template.signal[where].mean())


def test_contrast_is_that_of_an_epi(template):
    """Fluid is brightest, grey brighter than white matter, scalp faint, air black."""
    fluid = _mean(template, (template.csf > 0.95) & _inside(template))
    grey, white = _mean(template, template.grey > 0.95), _mean(template, template.white > 0.95)
    assert fluid > 1.2 * grey
    assert 0.75 < white / grey < 0.95
    assert template.signal[0].max() == 0
    assert template.signal.min() >= 0


def _inside(template: HeadTemplate) -> np.ndarray:
    """Return a box around the lateral ventricles."""
    x, y, z = (
        template.affine[axis, 3] + 2.0 * index
        for axis, index in enumerate(np.indices(template.grey.shape))
    )
    return (np.abs(x) < 20) & (np.abs(y + 10) < 25) & (np.abs(z - 14) < 8)


def test_tissues_lie_where_mni_has_them(template):
    """Corpus callosum is white, caudate grey, the lateral ventricle fluid, in MNI millimetres."""
    places = np.array([[0.0, 10.0, 20.0], [12.0, 12.0, 8.0], [4.0, 8.0, 14.0]]).T
    names = ("white", "grey", "csf")
    maps = np.array([template.sample(name, places) for name in names])
    assert np.array_equal(maps.argmax(axis=0), [0, 1, 2])


def test_signal_is_lost_above_the_sinuses(template):
    """Orbitofrontal cortex drops out and the parietal cortex does not."""
    points = np.array([[0.0, 36.0, -24.0], [30.0, -60.0, 50.0]]).T
    orbitofrontal, parietal = template.sample("signal", points)
    assert orbitofrontal < 0.3 * parietal
    assert template.sample("signal", np.array([[500.0], [0.0], [0.0]]))[0] == 0
