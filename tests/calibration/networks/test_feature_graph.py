"""The ONNX graph of several layers' features."""

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import torch

from calibration.networks import MaskedSlices
from calibration.networks.feature_graph import (
    RECURRENT_OUTPUT,
    VOLUME,
    feature_graph,
    output_name,
)


def test_graph_says_what_torch_says(network, mask, prepared) -> None:
    """Each output is the layer's features, empty slices among those that the LSTM reads."""
    graph = feature_graph(network, mask, (3, 10), recurrent=True)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    names = [output_name(3), output_name(10), RECURRENT_OUTPUT]
    slices = MaskedSlices(mask)
    for volume in (one.data.copy() for one in prepared):
        on_grid = torch.zeros(mask.shape)
        on_grid[torch.from_numpy(mask)] = torch.from_numpy(volume)
        with torch.inference_mode():
            laid_out = slices(torch.from_numpy(volume))
            expected = [
                network.conv_features(laid_out, layer).flatten().numpy() for layer in (3, 10)
            ]
            expected.append(network.features(on_grid[None])[0].numpy())
        for found, truth in zip(session.run(names, {VOLUME: volume}), expected, strict=True):
            np.testing.assert_allclose(found, truth, rtol=1e-4, atol=1e-5)


def test_graph_is_the_same_each_time_and_no_deeper_than_asked(network, mask) -> None:
    """The same bytes twice; five convolutions for the fifth layer, and padding in them."""
    graph = feature_graph(network, mask, (5,), recurrent=False)
    assert graph == feature_graph(network, mask, (5,), recurrent=False)
    operators = Counter(node.op_type for node in onnx.load_from_string(graph).graph.node)
    assert operators["Conv"] == 5
    assert operators["Pad"] == operators["LSTM"] == 0
