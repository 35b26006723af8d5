import numpy as np

from calibration.simulation.seeds import lognormal, stream


def test_stream_is_fixed_by_name_and_seeds():
    """The same name and seeds give the same numbers; any other give others."""
    first = stream("shape", 1, 2).standard_normal(5)
    assert np.array_equal(first, stream("shape", 1, 2).standard_normal(5))
    for other in (stream("coil", 1, 2), stream("shape", 2, 1), stream("shape", 1)):
        assert not np.array_equal(first, other.standard_normal(5))


def test_lognormal_lies_around_one():
    """Factors are positive, with median 1 and the spread asked for."""
    factors = lognormal(stream("test", 1), 0.3, 20_000)
    assert abs(np.median(factors) - 1.0) < 0.02
    assert abs(np.log(factors).std() - 0.3) < 0.01
