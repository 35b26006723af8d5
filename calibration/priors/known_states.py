"""Classes that the pretrained network knows: its own head is a prior."""

from collections.abc import Mapping, Sequence

from calibration.decoders.prior import KnownStates, LayerPrior
from calibration.networks import DeepLight
from calibration.networks.features import RECURRENT
from rtdecode.errors import ConfigError

NAME = "pretrained head"


def match_states(
    classes: Sequence[str], known: Sequence[str], given: Mapping[str, str] | None
) -> tuple[str, ...]:
    """Return the network's state of each class, or nothing if there are none.

    Parameters
    ----------
    classes
        The decoder's classes.
    known
        The states of the network, such as `motor_lh`.
    given
        The state of each class; its last part, such as `lh`, is enough if it is unique. None: the
        states with the names of the classes (upper and lower case are equal), if every class has
        one.

    Raises
    ------
    ConfigError
        With every class without a state and every unknown state.
    """
    if given is None:
        by_name = {state.lower(): state for state in known}
        found = [by_name.get(name.lower(), "") for name in classes]
        return tuple(found) if all(found) else ()
    found = []
    problems = [
        f"--states: no class {name!r}; there are {', '.join(classes)}"
        for name in given
        if name not in classes
    ]
    for name in classes:
        wanted = given.get(name)
        if wanted is None:
            problems.append(f"--states: {name} has no state; a prior needs one for each class")
            continue
        same = [state for state in known if wanted in {state, state.partition("_")[2]}]
        if len(same) == 1:
            found.append(same[0])
        elif same:
            problems.append(f"--states: {wanted} can be {' or '.join(same)}")
        else:
            problems.append(f"--states: no state {wanted!r}; the weights know {', '.join(known)}")
    if len(set(found)) < len(found):
        problems.append("--states: two classes have the same state")
    if problems:
        raise ConfigError(problems)
    return tuple(found)


def known_states_prior(
    network: DeepLight, known: Sequence[str], classes: Sequence[str], states: Sequence[str]
) -> LayerPrior:
    """Return the prior of the network's head.

    Parameters
    ----------
    network
        The pretrained network.
    known
        The states of its outputs, in order.
    classes
        The decoder's classes, in order.
    states
        The state of each class.
    """
    rows = [list(known).index(state) for state in states]
    weight = network.head.weight.detach().numpy()[rows]
    bias = network.head.bias.detach().numpy()[rows]
    pairs = zip(classes, states, strict=True)
    origin = "states " + ", ".join(f"{name}={state}" for name, state in pairs)
    return LayerPrior(NAME, RECURRENT, origin, KnownStates(weight, bias))
