"""ONNX files: ONNX Runtime computes the same as the network, for every layer."""

import sys

import numpy as np
import pytest
from layer_cases import CASES, IDS, network_of, samples_for

import minirobust as mr
from minirobust.neighbours.onnx import OPSET

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from onnx.reference import ReferenceEvaluator  # noqa: E402


def run(path, x):
    """Return what ONNX Runtime computes, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(["output"], {"input": x})[0]


def assert_close(theirs, ours, tolerance):
    """The largest difference, relative to the largest entry or to 1."""
    assert (theirs.shape, theirs.dtype) == (ours.shape, ours.dtype)
    assert np.abs(ours).max() > 0
    assert np.abs(theirs - ours).max() <= tolerance * max(1, np.abs(ours).max())


@pytest.mark.parametrize(("layers", "shape"), CASES, ids=IDS)
def test_onnx_runtime_computes_what_the_network_does(layers, shape, tmp_path):
    network = network_of(layers, shape, "float32")
    mr.export_onnx(network, tmp_path / "net.onnx")
    for count in (1, 5):  # any number of samples
        x = samples_for(network, count)
        assert_close(run(tmp_path / "net.onnx", x), network.logits(x), 1e-6)


@pytest.mark.parametrize(("layers", "shape"), CASES, ids=IDS)
def test_onnx_runtime_agrees_in_float64(layers, shape, tmp_path):
    """By ONNX's own evaluator where ONNX Runtime lacks the operator in float64, as it does convolution."""
    network = network_of(layers, shape, "float64")
    mr.export_onnx(network, tmp_path / "net.onnx")
    x = samples_for(network)
    try:
        output = run(tmp_path / "net.onnx", x)
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented:
        (output,) = ReferenceEvaluator(onnx.load(tmp_path / "net.onnx")).run(None, {"input": x})
    assert_close(output, network.logits(x), 1e-12)


@pytest.mark.parametrize(
    ("build", "temperature", "shape"),
    [(mr.models.mlp, 1, (28, 28, 1)), (mr.models.mlp, 0.25, (28, 28, 1)), (mr.models.cnn, 1, (32, 32, 3))],
)
def test_networks_of_the_study_agree_in_onnx_runtime(build, temperature, shape, tmp_path, rng):
    network = build(temperature, shape)
    mr.export_onnx(network, str(tmp_path / "net.onnx"))
    x = rng.random((4, *shape)).astype("float32")
    assert_close(run(tmp_path / "net.onnx", x), network.logits(x), 1e-6)


def test_file_describes_its_input_and_its_producer(tmp_path):
    network = network_of(*CASES[-1], "float32")
    mr.export_onnx(network, tmp_path / "net.onnx")
    model = onnx.load(tmp_path / "net.onnx")
    onnx.checker.check_model(model, full_check=True)
    (entry,) = model.graph.input
    sizes = entry.type.tensor_type.shape.dim
    assert [sizes[0].dim_param, *(size.dim_value for size in sizes[1:])] == ["N", 8, 9, 3]
    assert [(each.domain, each.version) for each in model.opset_import] == [("", OPSET)]
    assert (model.producer_name, model.producer_version) == ("minirobust", mr.__version__)
    assert "channels last" in model.graph.doc_string


def test_images_are_transposed_once_and_back_once(tmp_path):
    mr.export_onnx(mr.models.cnn(1, (16, 16, 1)), tmp_path / "net.onnx")
    operators = [node.op_type for node in onnx.load(tmp_path / "net.onnx").graph.node]
    assert operators.count("Transpose") == 2


def test_a_network_on_any_backend_is_written(backend, tmp_path):
    network = network_of(*CASES[-1], "float32")
    mr.export_onnx(network.to(backend), tmp_path / "net.onnx")
    mr.export_onnx(network, tmp_path / "same.onnx")
    assert (tmp_path / "net.onnx").read_bytes() == (tmp_path / "same.onnx").read_bytes()


class Scaled(mr.Layer):
    """A layer that ONNX knows nothing of."""

    def forward(self, x):
        return 2 * x


def test_a_layer_without_a_counterpart_is_refused_and_the_file_stays(tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"older")
    with pytest.raises(TypeError, match=r"export_onnx: layer 1, Scaled\(\): expected a layer that ONNX has"):
        mr.export_onnx(mr.Network([mr.Dense(3), Scaled()], (4,)), tmp_path / "net.onnx")
    assert (tmp_path / "net.onnx").read_bytes() == b"older"


def test_anything_but_a_network_is_refused(tmp_path):
    with pytest.raises(TypeError, match="export_onnx: expected a Network, got str"):
        mr.export_onnx("net", tmp_path / "net.onnx")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected an existing folder"):
        mr.export_onnx(mr.models.mlp(1, hidden=2), tmp_path / "missing" / "net.onnx")


@pytest.mark.parametrize(
    ("library", "call", "message"),
    [
        ("onnx", lambda net: mr.export_onnx(net, "net.onnx"), r"export_onnx needs onnx.*pip install 'minirobust\[int"),
        ("torch", lambda net: net.to_torch(), "to_torch needs torch.*pip install torch"),
        ("torch", mr.from_torch, "from_torch needs torch.*pip install torch"),
    ],
)
def test_missing_library_is_one_sentence_that_says_how_to_install_it(library, call, message, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=message) as caught:
        call(mr.models.mlp(1, hidden=2))
    assert "\n" not in str(caught.value)
