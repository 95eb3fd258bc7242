"""Networks as PyTorch modules and back: outputs and input gradients of every layer, and the weights bit for bit."""

import copy
import io
import pickle

import numpy as np
import pytest
from layer_cases import CASES, IDS, network_of, samples_for

import minirobust as mr

torch = pytest.importorskip("torch")
nn = torch.nn

TOLERANCE = {"float32": 1e-6, "float64": 1e-12}

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def channels_first(array):
    return array.transpose(0, 3, 1, 2) if array.ndim == 4 else array


def assert_close(ours, theirs, dtype):
    """The largest difference, relative to the largest entry."""
    theirs = theirs.detach().numpy()
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype == dtype
    largest = np.abs(theirs).max()
    assert largest > 0
    assert np.abs(ours - theirs).max() <= TOLERANCE[dtype] * max(largest, 1e-30)


def assert_same_function(network, module, x):
    """Outputs, and input gradients for a random cotangent."""
    output = network.forward(x)
    cotangent = np.random.default_rng(3).standard_normal(output.shape).astype(x.dtype)
    inputs = torch.tensor(channels_first(x)).requires_grad_()
    outputs = module(inputs)
    (gradient,) = torch.autograd.grad(outputs, inputs, torch.tensor(channels_first(cotangent)))
    assert_close(channels_first(output), outputs, network.dtype)
    assert_close(channels_first(network.backward(cotangent)), gradient, network.dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("layers", "shape"), CASES, ids=IDS)
def test_a_module_computes_what_the_network_does(layers, shape, dtype):
    network = network_of(layers, shape, dtype)
    module = network.to_torch()
    assert not module.training
    assert_same_function(network, module, samples_for(network))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("layers", "shape"), CASES, ids=IDS)
def test_weights_survive_a_round_trip_bit_for_bit(layers, shape, dtype):
    network = network_of(layers, shape, dtype)
    back = mr.from_torch(network.to_torch())
    if not network.parameters.size:  # then nothing tells the dtype of a module
        back = back.to("numpy", dtype)
    assert back.dtype == dtype
    np.testing.assert_array_equal(back.parameters, network.parameters)
    assert (back.input_shape, back.input_range) == (shape, (-50, 50))
    assert [type(layer) for layer in back.layers] == [type(layer) for layer in network.layers]
    assert [layer.output_shape for layer in back.layers] == [layer.output_shape for layer in network.layers]
    x = samples_for(network)
    np.testing.assert_array_equal(back.logits(x), network.logits(x))


def test_every_layer_has_a_case():
    layers = {value for value in vars(mr).values() if isinstance(value, type) and issubclass(value, mr.Layer)}
    assert layers - {mr.Layer} == {type(layer) for case, _ in CASES for layer in case}


STUDY = [
    (mr.models.mlp, 1, (28, 28, 1), "float32"),
    (mr.models.mlp, 1 / 64, (28, 28, 1), "float64"),
    (mr.models.mlp, 16, (28, 28, 1), "float64"),
    (mr.models.cnn, 1, (32, 32, 3), "float32"),
    (mr.models.cnn, 1 / 8, (32, 32, 3), "float64"),
    (mr.models.cnn, 8, (32, 32, 3), "float64"),
]


@pytest.mark.parametrize(("build", "temperature", "shape", "dtype"), STUDY)
def test_networks_of_the_study_agree_with_their_modules(build, temperature, shape, dtype, rng):
    network = build(temperature, shape, dtype=dtype)
    x, y = rng.random((4, *shape)).astype(dtype), rng.integers(0, 10, 4)
    module = network.to_torch()
    assert_same_function(network, module, x)
    inputs = torch.tensor(channels_first(x)).requires_grad_()
    nn.functional.cross_entropy(module(inputs), torch.tensor(y), reduction="sum").backward()
    assert_close(channels_first(network.input_gradient(x, y)), inputs.grad, dtype)
    np.testing.assert_array_equal(mr.from_torch(module).parameters, network.parameters)


def test_saturated_units_keep_their_gradient_in_float32():
    """At net / T = 20 y rounds to 1, and PyTorch's own derivative of a sigmoid is zero there."""
    net = torch.tensor([-20.0, 20.0, 80.0]) / 64
    module = network_of([mr.TemperatureSigmoid(1 / 64)], (3,), "float32").to_torch()
    gradient = torch.autograd.functional.jacobian(module, net).diagonal()
    e = np.exp(-np.array([20.0, 20.0, 80.0]))
    np.testing.assert_allclose(gradient, 64 * e / (1 + e) ** 2, rtol=1e-5)
    own = torch.autograd.functional.jacobian(torch.sigmoid, net * 64).diagonal()
    assert own[1] == own[2] == 0


def test_the_sigmoid_has_second_derivatives_and_works_under_vmap():
    sigmoid = network_of([mr.TemperatureSigmoid(0.5)], (4,), "float64").to_torch()
    net = torch.linspace(-1, 1, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(sigmoid, (net,))
    assert torch.autograd.gradgradcheck(sigmoid, (net,))
    slopes = torch.func.vmap(torch.func.grad(lambda z: sigmoid(z)))(net.detach())
    y = torch.sigmoid(net.detach() / 0.5)
    torch.testing.assert_close(slopes, y * (1 - y) / 0.5)


def plain_module():
    """What a PyTorch user would write, on colour images that are not square."""
    torch.manual_seed(0)
    features = nn.Sequential(nn.Conv2d(3, 4, 3, padding="same", bias=False), nn.ReLU(inplace=True), nn.AvgPool2d(2))
    head = nn.Sequential(nn.Dropout(0.5), nn.Linear(4 * 3 * 2, 7), nn.Sigmoid(), nn.Identity(), nn.Linear(7, 5))
    return nn.Sequential(features, nn.Flatten(), head).double()


def test_a_plain_module_becomes_a_network(rng):
    module = plain_module()
    before = copy.deepcopy(module.state_dict())
    network = mr.from_torch(module, (7, 5, 3), input_range=(-1, 2))
    assert module.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert network.input_range == (-1, 2)
    assert [type(layer).__name__ for layer in network.layers] == [
        "Conv2D",
        "ReLU",
        "AvgPool2D",
        "Flatten",
        "Dropout",
        "Dense",
        "TemperatureSigmoid",
        "Dense",
    ]
    assert_same_function(network, module.eval(), rng.standard_normal((6, 7, 5, 3)))


def test_the_network_owns_its_weights(rng):
    module = plain_module().eval()
    network = mr.from_torch(module, (7, 5, 3))
    before = network.parameters.copy()
    with torch.no_grad():
        module[1 + 1][1].weight.zero_()
    np.testing.assert_array_equal(network.parameters, before)
    other = network.to_torch()
    network.parameters[...] = 0
    assert all(parameter.any() for name, parameter in other.named_parameters() if name.endswith("weight"))


def test_first_linear_module_determines_the_input_shape():
    assert mr.from_torch(nn.Sequential(nn.Linear(6, 4), nn.Tanh())).input_shape == (6,)
    assert mr.from_torch(nn.Linear(6, 4)).output_shape == (4,)


def test_a_module_trains_in_pytorch_and_comes_back_trained(digits):
    network = mr.models.mlp(1, hidden=16)
    module = network.to_torch().train()
    x = torch.tensor(channels_first(digits.train[:200].pixels()))
    y = torch.tensor(digits.train[:200].labels, dtype=torch.int64)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    for _ in range(30):
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(x), y).backward()
        optimizer.step()
    trained = mr.from_torch(module)
    assert (trained.predict(digits.train[:200].pixels()) == digits.train[:200].labels).mean() > 0.9


def test_making_a_module_draws_no_random_numbers():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    mr.models.mlp(1, hidden=4).to_torch()
    assert torch.equal(torch.rand(3), expected)


def test_modules_are_copied_pickled_and_saved():
    network = network_of(*CASES[-1], "float32")
    module = network.to_torch()
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module)), torch.load(file, weights_only=False)):
        np.testing.assert_array_equal(mr.from_torch(twin).parameters, network.parameters)


def test_network_on_any_backend_survives_a_round_trip(backend):
    network = network_of(*CASES[-1], "float64").to(backend)
    back = mr.from_torch(network.to_torch(), backend=backend)
    assert back.backend is network.backend
    np.testing.assert_array_equal(*(backend.to_numpy(each.parameters) for each in (back, network)))


class Scaled(mr.Layer):
    """A layer that PyTorch knows nothing of."""

    def forward(self, x):
        return 2 * x

    def input_gradient(self, grad_y):
        return 2 * grad_y


REFUSED_NETWORKS = [
    ([mr.Dense(3), Scaled()], (4,), r"to_torch: layer 1, Scaled\(\): expected a layer that PyTorch has, one of Dense"),
    ([mr.Flatten()], (3, 3, 2), "to_torch: expected Dense after Flatten of images with several channels, got none"),
    ([mr.Flatten(), mr.Softmax()], (3, 3, 2), r"to_torch: layer 1, Softmax\(\): expected Dense after Flatten"),
]


@pytest.mark.parametrize(("layers", "shape", "message"), REFUSED_NETWORKS, ids=[m for *_, m in REFUSED_NETWORKS])
def test_layers_without_a_counterpart_are_refused(layers, shape, message):
    layers = [type(layer)(**layer.arguments()) for layer in layers]
    with pytest.raises((TypeError, ValueError), match=message):
        mr.Network(layers, shape).to_torch()


class Doubled(nn.Module):
    """A module with a forward pass of its own."""

    def forward(self, x):
        return 2 * x


REFUSED_MODULES = [
    (nn.Sequential(nn.Linear(4, 3), nn.Sequential(Doubled())), "from_torch: module '1.0', Doubled.*: expected a mod"),
    (nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), "from_torch: module '1', BatchNorm1d.*: expected a module"),
    (Doubled(), r"from_torch: Doubled\(\): expected a module that minirobust has a layer for, one of Sequential"),
    (nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=0)), "from_torch: module '1', Softmax.*: expected dim=1, got 0"),
    (nn.Sequential(nn.Linear(4, 3), nn.Dropout(1.0)), "Dropout: expected rate in"),
    (nn.Linear(4, 3).half(), "from_torch: expected parameters in torch.float32 or in torch.float64, got torch.float16"),
    (nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2).double()), "got torch.float32, torch.float64"),
    (nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), "from_torch: expected input_shape, .*, got None"),
]


@pytest.mark.parametrize(("module", "message"), REFUSED_MODULES, ids=[m for _, m in REFUSED_MODULES])
def test_modules_without_a_counterpart_are_refused(module, message):
    with pytest.raises((TypeError, ValueError), match=message):
        mr.from_torch(module)


REFUSED_ON_IMAGES = [
    (nn.Conv2d(3, 2, 3, dilation=2), r"Conv2d.*: expected dilation=1, got \(2, 2\)"),
    (nn.Conv2d(3, 3, 3, groups=3), "Conv2d.*: expected groups=1, got 3"),
    (nn.Conv2d(3, 2, 3, padding=1, padding_mode="reflect"), "expected padding_mode='zeros', got 'reflect'"),
    (nn.Conv2d(5, 2, 3), r"Conv2d\(5.*: expected an input that fits it, got \(8, 8, 3\)"),
    (nn.MaxPool2d(2, ceil_mode=True), "MaxPool2d.*: expected ceil_mode=False, got True"),
    (nn.MaxPool2d(2, dilation=2), "MaxPool2d.*: expected dilation=1, got 2"),
    (nn.AvgPool2d(2, padding=1), "AvgPool2d.*: expected padding=0, got 1"),
    (nn.AvgPool2d(2, divisor_override=3), "AvgPool2d.*: expected divisor_override=None, got 3"),
    (nn.Sequential(), "at least one layer"),
    (nn.Flatten(start_dim=2), "Flatten.*: expected start_dim=1, got 2"),
    (nn.Flatten(), "from_torch: expected Dense after Flatten of images with several channels, got none"),
    (nn.Sequential(nn.ZeroPad2d(1), nn.ReLU()), "module '1', ReLU.*: expected Conv2d after ZeroPad2d"),
    (nn.ZeroPad2d(1), "from_torch: expected Conv2d after ZeroPad2d, got none"),
    (nn.Sequential(nn.ZeroPad2d((0, 3, 0, 1)), nn.Conv2d(3, 2, 3)), "expected ZeroPad2d with an even border or that"),
]


@pytest.mark.parametrize(("module", "message"), REFUSED_ON_IMAGES, ids=[m for _, m in REFUSED_ON_IMAGES])
def test_settings_without_a_counterpart_are_refused(module, message):
    with pytest.raises((TypeError, ValueError), match=message):
        mr.from_torch(module, (8, 8, 3))


def test_symmetric_zero_pad_becomes_padding(rng):
    module = nn.Sequential(nn.ZeroPad2d((2, 2, 1, 1)), nn.Conv2d(3, 2, 3).double()).eval()
    assert_same_function(mr.from_torch(module, (8, 7, 3)), module, rng.standard_normal((2, 8, 7, 3)))


def test_anything_but_a_module_is_refused():
    with pytest.raises(TypeError, match=r"from_torch: expected a torch.nn.Module, got <class"):
        mr.from_torch(nn.Linear)
