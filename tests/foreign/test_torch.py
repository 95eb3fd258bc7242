"""Models of PyTorch modules, against PyTorch's own arithmetic in float64; and our networks as PyTorch modules."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

import minirobust as mr

torch = pytest.importorskip("torch")
from torch.nn import functional  # noqa: E402

SHAPE, CLASSES = (7, 5, 3), 4
MEAN, STD = (0.4, 0.5, 0.3), (0.2, 0.25, 0.5)

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture(autouse=True)
def weights():
    torch.manual_seed(0)


@pytest.fixture
def module():
    """Every kind of part that differs in training, on colour images that are not square."""
    layers = [torch.nn.Conv2d(3, 6, 3), torch.nn.BatchNorm2d(6), torch.nn.SiLU(), torch.nn.Dropout(0.5)]
    module = torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(90, CLASSES)).double()
    module(torch.randn(50, 3, 7, 5).double())  # running statistics off their defaults
    return module.eval()


@pytest.fixture
def x(rng):
    return rng.random((30, *SHAPE))


@pytest.fixture
def y(rng):
    return rng.integers(0, CLASSES, 30)


def by_hand(module, x, y=None, loss=None):
    """Logits, and ∂L/∂x for a loss written with PyTorch's functions; channels last."""
    x = torch.tensor(x, requires_grad=True)
    pixels = torch.stack([(x[..., c] - MEAN[c]) / STD[c] for c in range(3)], dim=1)
    logits = module(pixels)
    if loss is None:
        return logits.detach().numpy()
    loss(logits, torch.tensor(y)).backward()
    module.zero_grad()
    return logits.detach().numpy(), x.grad.numpy()


def cross_entropy(logits, y):
    return functional.cross_entropy(logits, y, reduction="sum")


def margin(logits, y):
    own = logits[range(len(y)), y]
    others = torch.stack([torch.cat([z[:label], z[label + 1 :]]) for z, label in zip(logits, y, strict=True)])
    return (others.max(dim=1).values - own).sum()


@pytest.mark.parametrize(
    ("loss", "theirs"),
    [(mr.SoftmaxCrossEntropy(), cross_entropy), (mr.Margin(), margin)],
    ids=["cross entropy", "margin"],
)
def test_logits_and_gradients_equal_pytorch(loss, theirs, module, x, y):
    model = mr.foreign.torch(module, SHAPE, mean=MEAN, std=STD)
    logits, _, gradient = model.gradient(x, y, loss)
    expected_logits, expected = by_hand(module, x, y, theirs)
    np.testing.assert_allclose(logits, expected_logits, rtol=0, atol=1e-9)
    np.testing.assert_allclose(model.logits(x), expected_logits, rtol=0, atol=1e-9)
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-9 * abs(expected).max())
    assert abs(expected).max() > 0.1
    assert {a.dtype for a in (logits, gradient)} == {np.dtype("float64")}


def test_fgsm_is_its_formula_in_pixels(module, x, y):
    made = mr.attacks.fgsm(mr.foreign.torch(module, SHAPE, mean=MEAN, std=STD), x, y, 0.1)
    _, gradient = by_hand(module, x, y, cross_entropy)
    np.testing.assert_allclose(made.images, np.clip(x + 0.1 * np.sign(gradient), 0, 1), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(made.predictions, by_hand(module, made.images).argmax(axis=1))


# A network of ours whose weights were carried to PyTorch


@pytest.fixture
def network():
    layers = [mr.Conv2D(6, 3), mr.TemperatureSigmoid(0.5), mr.Flatten(), mr.Dense(CLASSES)]
    return mr.Network(layers, SHAPE, dtype="float64", seed=3)


class Carried(torch.nn.Module):
    def __init__(self, network):
        super().__init__()
        conv, self.sigmoid, _, dense = network.layers
        arrays = (*conv.parameters, *dense.parameters)
        self.values = torch.nn.ParameterList(torch.tensor(parameter.value) for parameter in arrays)

    def forward(self, x):
        kernel, bias, weight, bias2 = self.values
        x = functional.conv2d(x, kernel.permute(3, 2, 0, 1), bias)  # (height, width, channels, filters) there
        x = torch.sigmoid(x / self.sigmoid.temperature)
        return x.permute(0, 2, 3, 1).flatten(1) @ weight + bias2


ATTACKS = {
    "fgsm": partial(mr.attacks.fgsm, epsilon=0.05),
    "fgvm": partial(mr.attacks.fgvm, epsilon=0.1),
    "pgd": partial(mr.attacks.pgd, epsilon=0.05, steps=10),
    "pgd towards a target": lambda model, x, y: mr.attacks.pgd(model, x, y, 0.3, steps=10, target=(y + 1) % CLASSES),
    "square": partial(mr.attacks.square, epsilon=0.1, queries=50),
    "noise": partial(mr.attacks.noise, epsilon=0.3, draws=3),
    "pixel": partial(mr.attacks.pixel, pixels=2),
    "brute_force_pixel": mr.attacks.brute_force_pixel,
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_network_carried_to_pytorch_gives_the_same_images(name, network, x):
    y = network.predict(x)
    ours = ATTACKS[name](network, x, y)
    theirs = ATTACKS[name](mr.foreign.torch(Carried(network), SHAPE), x, y)
    np.testing.assert_allclose(theirs.images, ours.images, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(theirs.fooled, ours.fooled)
    assert (theirs.queries, theirs.gradients) == (ours.queries, ours.gradients)
    assert ours.fooled.any()
    assert abs(ours.images - x).max() > 0.04


@pytest.mark.parametrize("name", ATTACKS)
def test_a_network_that_goes_to_pytorch_and_back_gives_the_same_images(name, network, x):
    y = network.predict(x)
    ours = ATTACKS[name](network, x, y)
    theirs = ATTACKS[name](mr.foreign.torch(mr.foreign.to_torch(network), SHAPE), x, y)
    np.testing.assert_allclose(theirs.images, ours.images, rtol=0, atol=1e-12)


def test_epsilon_and_range_are_in_pixels(module, rng):
    """Pixels from 0 to 255, as they come from a file, and a module for pixels of mean 0 and deviation 1."""
    x, y = rng.uniform(0, 255, (20, *SHAPE)), rng.integers(0, CLASSES, 20)
    mean, std = 255 * np.array(MEAN), 255 * np.array(STD)
    whole = mr.foreign.torch(module, SHAPE, mean=mean, std=std, input_range=(0, 255))
    unit = mr.foreign.torch(module, SHAPE, mean=MEAN, std=STD)
    for attack in (mr.attacks.pgd, partial(mr.attacks.square, queries=20)):
        made, expected = attack(whole, x, y, 8.0).images, attack(unit, x / 255, y, 8 / 255).images
        np.testing.assert_allclose(made, 255 * expected, rtol=0, atol=1e-9)
        assert 7.9 < abs(made - x).max() <= 8 + 1e-9
        assert made.min() >= 0
        assert made.max() <= 255


@pytest.mark.parametrize("shape", [(6,), (4, 6), (2, 2, 4, 6)], ids=str)
def test_inputs_that_are_not_images_keep_their_axes(shape, rng):
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(int(np.prod(shape)), 3)).double()
    x, mean = rng.random((5, *shape)), rng.random(6)
    logits = mr.foreign.torch(module, shape, mean=mean, std=2.0).logits(x)
    weight, bias = module[1].weight.detach().numpy(), module[1].bias.detach().numpy()
    np.testing.assert_allclose(logits, ((x - mean) / 2).reshape(5, -1) @ weight.T + bias, rtol=0, atol=1e-12)


def test_a_module_may_call_view_and_write_into_its_input(module, x, y):
    class Careless(torch.nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

        def forward(self, x):
            x += 1
            return self.module(x.view(len(x), -1).view(x.shape) - 1)

    before = x.copy()
    made, expected = (mr.attacks.pgd(mr.foreign.torch(m, SHAPE), x, y).images for m in (Careless(module), module))
    np.testing.assert_allclose(made, expected, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(x, before)


# A module stays as it was


def state(module):
    return (
        [part.training for part in module.modules()],
        [(p.requires_grad, None if p.grad is None else p.grad.tolist()) for p in module.parameters()],
        {name: tensor.tolist() for name, tensor in module.state_dict().items()},
        torch.get_rng_state().tolist(),
    )


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_an_attack_evaluates_and_leaves_the_module_as_it_was(attack, module, x, y):
    expected = attack(mr.foreign.torch(module, SHAPE), x, y).images
    module(torch.tensor(x).permute(0, 3, 1, 2)).sum().backward()
    module[0].weight.requires_grad = False
    module.train()
    module[1].eval()  # frozen, as in fine-tuning
    module[5].weight.grad = None
    before = state(module)
    np.testing.assert_array_equal(attack(mr.foreign.torch(module, SHAPE), x, y).images, expected)
    assert state(module) == before
    assert [part.training for part in module] == [True, False, True, True, True, True]


def test_the_mode_is_restored_after_an_error(module):
    module.train()
    before = state(module)
    with pytest.raises(RuntimeError, match="expected input"):
        mr.foreign.torch(module, (7, 5, 2))
    assert state(module) == before


def test_custom_train_method_is_called(x, y):
    """As that of layers which fold other weights into theirs in evaluation mode and take them out again."""

    class Folding(torch.nn.Linear):
        folded = False

        def train(self, mode=True):
            if self.folded == mode:
                self.weight.data += -2.0 if mode else 2.0
                self.folded = not mode
            return super().train(mode)

    module = torch.nn.Sequential(torch.nn.Flatten(), Folding(105, CLASSES)).double()
    weight = module[1].weight.detach().clone()
    logits = mr.foreign.torch(module, SHAPE).logits(x)
    folded = (weight + 2).numpy()
    expected = x.transpose(0, 3, 1, 2).reshape(30, -1) @ folded.T + module[1].bias.detach().numpy()
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-9)
    torch.testing.assert_close(module[1].weight.detach(), weight)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode], ids=["no_grad", "inference_mode"])
def test_gradients_need_no_mode_of_the_callers(mode, module, x, y):
    expected = mr.attacks.fgsm(mr.foreign.torch(module, SHAPE), x, y).images
    with mode():
        np.testing.assert_array_equal(mr.attacks.fgsm(mr.foreign.torch(module, SHAPE), x, y).images, expected)
        assert not torch.is_grad_enabled()


# Modules that are random in evaluation mode


class Noisy(torch.nn.Module):
    """Dropout at test time, a defence by randomness."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        return self.module(functional.dropout(x, 0.3, training=True))


def test_a_draw_selects_the_random_numbers(module, x, y):
    model = mr.foreign.torch(Noisy(module), SHAPE)
    first = model.logits(x)
    np.testing.assert_array_equal(model.logits(x), first)
    assert (model.logits(x, draw=1) != first).any()
    np.testing.assert_array_equal(model.logits(x, draw=1), model.logits(x, draw=1))
    for draw in (0, 1):
        logits, _, gradient = model.gradient(x, y, mr.SoftmaxCrossEntropy(), draw=draw)
        np.testing.assert_array_equal(logits, model.logits(x, draw))
        torch.manual_seed(draw)
        dropped = functional.dropout(torch.ones(30, 3, 7, 5).double(), 0.3).permute(0, 2, 3, 1).numpy()
        np.testing.assert_array_equal(gradient == 0, dropped == 0)


def test_the_expectation_averages_over_draws(module, x, y):
    model, loss = mr.foreign.torch(Noisy(module), SHAPE), mr.SoftmaxCrossEntropy()
    guide = mr.attacks.expectation(draws=3)(model, 0, 1)
    mean = np.mean([model.gradient(x, y, loss, draw=draw)[2] for draw in (1, 2, 3)], axis=0)
    np.testing.assert_allclose(guide.gradient(x, y, loss)[2], mean, rtol=0, atol=1e-12)


def test_random_state_of_the_caller_is_restored(module, x, y):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    mr.attacks.pgd(mr.foreign.torch(Noisy(module), SHAPE), x, y, steps=3)
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)


def test_several_threads_may_attack_one_module(module, x, y):
    module = Noisy(module).train()
    attack = partial(mr.attacks.pgd, steps=3)
    expected = attack(mr.foreign.torch(module, SHAPE), x, y).images
    shared = mr.foreign.torch(module, SHAPE, chunk_size=7)
    chunked = attack(shared, x, y).images
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: attack(shared, x, y).images, range(12)))
    assert all((images == chunked).all() for images in made)
    assert expected.shape == chunked.shape
    assert all(part.training for part in module.modules())


# Dtypes, devices, chunks


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_the_module_computes_in_its_own_dtype(dtype, module, x, y):
    seen = []
    exact = mr.foreign.torch(module, SHAPE, mean=MEAN, std=STD).logits(x)
    module = module.to(dtype)
    module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].dtype))
    model = mr.foreign.torch(module, SHAPE, mean=MEAN, std=STD)
    assert model.dtype == "float32"
    made = mr.attacks.fgsm(model, x, y)
    assert made.images.dtype == np.float32
    assert set(seen) == {dtype}
    np.testing.assert_allclose(model.logits(x.astype("float32")), exact, rtol=0, atol=0.1)


def test_module_receives_at_most_one_chunk(module, x, y):
    sizes = []
    module.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    whole = mr.attacks.pgd(mr.foreign.torch(module, SHAPE), x, y, steps=3)
    sizes.clear()
    parts = mr.attacks.pgd(mr.foreign.torch(module, SHAPE, chunk_size=8), x, y, steps=3)
    np.testing.assert_allclose(parts.images, whole.images, rtol=0, atol=1e-12)
    assert max(sizes) == 8


def test_inputs_go_to_the_named_device():
    """On the device "meta" nothing is computed, so its tensors cannot have come from elsewhere."""
    seen = []

    class Anywhere(torch.nn.Module):
        def forward(self, x):
            seen.append(x.device.type)
            return torch.zeros(len(x), 3)

    mr.foreign.torch(Anywhere(), (4,), device="meta")
    mr.foreign.torch(Anywhere(), (4,))
    assert seen == ["meta", "cpu"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_module_on_a_gpu_is_attacked(module, x, y):
    attack = partial(mr.attacks.pgd, epsilon=0.05, steps=5)
    expected = attack(mr.foreign.torch(module, SHAPE, mean=MEAN, std=STD), x, y)
    torch.cuda.manual_seed(7)
    before = torch.cuda.get_rng_state()
    there = mr.foreign.torch(module.cuda(), SHAPE, mean=MEAN, std=STD)
    np.testing.assert_allclose(attack(there, x, y).images, expected.images, rtol=0, atol=1e-9)
    noisy = mr.foreign.torch(Noisy(module), SHAPE)
    np.testing.assert_array_equal(noisy.logits(x), noisy.logits(x))
    assert (noisy.logits(x, draw=1) != noisy.logits(x)).any()
    assert (torch.cuda.get_rng_state() == before).all()


# What is refused


class Returns(torch.nn.Module):
    def __init__(self, result):
        super().__init__()
        self.result = result

    def forward(self, x):
        return self.result(x)


@pytest.mark.parametrize(
    ("result", "got"),
    [
        (lambda x: x, r"shape \(1, 3, 7, 5\)"),
        (lambda x: x.sum(), r"Tensor"),
        (lambda x: x.mean(dim=(1, 2, 3)), r"shape \(1,\)"),
        (lambda x: x.flatten(1).expand(2, -1), r"shape \(2, 105\)"),
        (lambda x: (x.flatten(1), None), "tuple"),
        (lambda x: {"logits": x.flatten(1)}, "dict"),
        (lambda x: x.flatten(1).numpy(), "ndarray"),
    ],
    ids=["images", "number", "one per sample", "samples", "tuple", "dict", "ndarray"],
)
def test_module_that_does_not_return_logits_raises(result, got):
    message = rf"^foreign.torch: expected the module to return logits of shape \(1, classes\), got {got}"
    with pytest.raises(ValueError, match=message):
        mr.foreign.torch(Returns(result), SHAPE)


def test_wrong_number_of_logits_raises(module, x):
    model = mr.foreign.torch(module, SHAPE, classes=10)
    with pytest.raises(ValueError, match=r"return logits of shape \(30, 10\), got shape \(30, 4\)"):
        model.logits(x)


def test_classes_are_counted_unless_given(module):
    calls = []
    module.register_forward_pre_hook(lambda _, inputs: calls.append(len(inputs[0])))
    assert mr.foreign.torch(module, SHAPE).classes == CLASSES
    assert mr.foreign.torch(module, SHAPE, classes=4).classes == CLASSES
    assert calls == [1]


def test_images_with_channels_first_raise_and_the_mistake_is_named(module):
    with pytest.raises(RuntimeError) as caught:
        mr.foreign.torch(module, (3, 7, 5))
    note = "foreign.torch: expected input_shape (H, W, C) or (features,), got (3, 7, 5)"
    assert caught.value.__notes__ == [note]


@pytest.mark.parametrize(
    "result",
    [
        lambda x: x.detach().flatten(1),
        lambda x: torch.tensor(x.detach().numpy()).flatten(1),
        lambda x: torch.zeros(len(x), 4, requires_grad=True) + 1,
        lambda x: (x.flatten(1) > 0).int(),
    ],
    ids=["detached", "through NumPy", "independent of the input", "integers"],
)
def test_output_without_a_gradient_raises(result, x, y):
    model = mr.foreign.torch(Returns(result), SHAPE)
    message = (
        "^foreign.torch: this attack needs a gradient, and the module's output has none with respect to its input: "
        r"use mr.attacks.square, or gradients=mr.attacks.differences\(sigma\)$"
    )
    with pytest.raises(ValueError, match=message):
        mr.attacks.fgsm(model, x, y)
    mr.attacks.square(model, x, y, queries=3)
    mr.attacks.fgsm(model, x, y, gradients=mr.attacks.differences(0.1, draws=2))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"module": torch.nn.Flatten}, TypeError, "foreign.torch: expected a torch.nn.Module, got <class .*Flatten'>"),
        ({"module": len}, TypeError, "foreign.torch: expected a torch.nn.Module, got <built-in function len>"),
        ({"mean": (0.1, 0.2)}, ValueError, r"foreign.torch: expected mean to be one number or 3, got \(0.1, 0.2\)"),
        ({"mean": np.nan}, ValueError, "foreign.torch: expected mean to be one number or 3, got nan"),
        ({"std": torch.ones(3, 1, 1)}, ValueError, "foreign.torch: expected std to be one number or 3, got tensor"),
        ({"std": (1, 0, 1)}, ValueError, r"foreign.torch: expected std above 0, got \(1, 0, 1\)"),
        ({"classes": 0}, ValueError, "foreign.torch: expected classes to be a whole number of at least 1, got 0"),
        ({"chunk_size": 0.5}, ValueError, "foreign.torch: expected chunk_size to be a whole number"),
        ({"input_shape": ()}, ValueError, r"expected input_shape .* got \(\)"),
        ({"input_range": (0, np.inf)}, ValueError, "expected input_range"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_wrong_arguments_raise(options, error, message, module):
    arguments = {"module": module, "input_shape": SHAPE} | options
    with pytest.raises(error, match=message):
        mr.foreign.torch(**arguments)


# The other way


def test_a_network_as_a_module_has_its_logits_and_gradients(network, x, y, backend):
    network = network.to(backend)
    module = mr.foreign.to_torch(network)
    pixels = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
    logits = module(pixels)
    np.testing.assert_allclose(logits.detach().numpy(), backend.to_numpy(network.logits(x)), rtol=0, atol=1e-12)
    cross_entropy(logits, torch.tensor(y)).backward()
    expected = backend.to_numpy(network.input_gradient(x, y))
    np.testing.assert_allclose(pixels.grad.numpy().transpose(0, 2, 3, 1), expected, rtol=0, atol=1e-12)
    assert abs(expected).max() > 1e-3
    assert not module.training
    assert [(parameter.numel(), parameter.requires_grad) for parameter in module.parameters()] == [(0, False)]


def test_pytorch_checks_its_gradient(network, x):
    pixels = torch.tensor(x[:2].transpose(0, 3, 1, 2), requires_grad=True)
    assert torch.autograd.gradcheck(mr.foreign.to_torch(network), pixels)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_network_as_a_module_returns_the_dtype_of_its_input(dtype, network, x):
    pixels = torch.tensor(x.transpose(0, 3, 1, 2), dtype=dtype, requires_grad=True)
    logits = mr.foreign.to_torch(network)(pixels)
    logits.sum().backward()
    assert logits.dtype == pixels.grad.dtype == dtype
    np.testing.assert_allclose(logits.detach().double().numpy(), network.logits(x), rtol=0, atol=0.1)


def test_several_threads_may_use_a_network_as_a_module(network, x):
    module = mr.foreign.to_torch(network)

    def gradient(_):
        pixels = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
        module(pixels).square().sum().backward()
        return pixels.grad

    expected = gradient(0)
    with ThreadPoolExecutor(4) as pool:
        assert all((grad == expected).all() for grad in pool.map(gradient, range(50)))


def test_network_as_a_module_accepts_flat_inputs(rng):
    network = mr.models.mlp(1.0, (6,), hidden=5, classes=3, dtype="float64")
    x = rng.random((4, 6))
    np.testing.assert_array_equal(mr.foreign.to_torch(network)(torch.tensor(x)).numpy(), network.logits(x))


def test_to_torch_raises_for_a_network_without_logits():
    softmax = mr.Network([mr.Flatten(), mr.Dense(3), mr.Softmax()], SHAPE)
    with pytest.raises(ValueError, match="expected a network that ends in logits"):
        mr.foreign.to_torch(softmax)
    with pytest.raises(TypeError, match="expected a Network or a model"):
        mr.foreign.to_torch(0.25)
    with pytest.raises(ValueError, match=r"foreign: expected shape \(N, 7, 5, 3\), got \(1, 5, 3, 7\)"):
        mr.foreign.to_torch(mr.Network([mr.Flatten(), mr.Dense(3)], SHAPE))(torch.zeros(1, 7, 5, 3))
