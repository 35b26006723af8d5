"""The register of published weights: address, content and digest."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from rtdecode.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Published:
    """Weights published by others."""

    name: str
    grid_shape: tuple[int, int, int]
    affine: tuple[tuple[float, ...], ...]
    """Voxel to MNI152 millimetres, RAS+, (4, 4)."""
    states: tuple[str, ...]
    """The states of the outputs, in order, as task_state."""
    url: str
    size_bytes: int
    sha256: str
    licence: str
    """Licence in one sentence, shown to the user."""
    citation: str


DEEPLIGHT_2D = Published(
    name="deeplight-2d",
    grid_shape=(91, 109, 91),
    affine=(
        (-2.0, 0.0, 0.0, 90.0),
        (0.0, 2.0, 0.0, -126.0),
        (0.0, 0.0, 2.0, -72.0),
        (0.0, 0.0, 0.0, 1.0),
    ),
    states=(
        "emotion_fear",
        "emotion_neut",
        "gambling_loss",
        "gambling_neut",
        "gambling_win",
        "language_math",
        "language_story",
        "motor_lf",
        "motor_lh",
        "motor_rf",
        "motor_rh",
        "motor_t",
        "relational_match",
        "relational_relation",
        "social_mental",
        "social_other",
    ),
    # A commit, not a branch: the address keeps naming the file that the digest names.
    url=(
        "https://raw.githubusercontent.com/athms/evaluating-deeplight-transfer/"
        "c8145a9a45acaac7f6f80d81c5bd611e87b2372b/src/deeplight/two/pretrained_model/"
        "model-2D_DeepLight_desc-pretrained_model.npy"
    ),
    size_bytes=3_573_425,
    sha256="d1070ea1fadf4fc93f053c57bcadc6e37b38a6763276246efb25f35e1d1df90c",
    licence=(
        "The authors state no licence for these weights (one folder of their repository says "
        '"free for academic use only"): use them for your own research, and do not pass on the '
        "weights or anything derived from them."
    ),
    citation="Thomas, Müller and Samek 2019, arXiv:1907.01953",
)

PUBLISHED: Mapping[str, Published] = MappingProxyType({DEEPLIGHT_2D.name: DEEPLIGHT_2D})


def registered(name: str) -> Published:
    """Return the register's entry.

    Raises
    ------
    ConfigError
        There is none of that name.
    """
    try:
        return PUBLISHED[name]
    except KeyError:
        known = ", ".join(PUBLISHED)
        raise ConfigError(f"no published weights are called {name!r}; known: {known}") from None
