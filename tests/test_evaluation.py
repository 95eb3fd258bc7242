"""Predictions, attacks and audits run on an evaluation view: they change nothing, and arguments are checked once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import minirobust as mr
from minirobust import network as network_module
from minirobust import validation
from minirobust.attacks import attack as attack_module
from minirobust.masking import evidence
from minirobust.masking.evidence import gradient_health
from minirobust.stack import Evaluation, Stack


def small(backend="numpy", dtype="float32", seed=0):
    return mr.models.mlp(0.25, (6, 6, 1), hidden=12, classes=4, backend=backend, dtype=dtype, seed=seed)


@pytest.fixture
def data(rng):
    return rng.random((40, 6, 6, 1)).astype("float32"), rng.integers(0, 4, 40)


pytestmark = pytest.mark.usefixtures("tiny_audits")

ATTACKS = {
    "apgd": lambda *a: mr.attacks.apgd(*a, steps=8),
    "fgsm": mr.attacks.fgsm,
    "fgvm": mr.attacks.fgvm,
    "pgd": lambda *a: mr.attacks.pgd(*a, steps=3),
    "noise": mr.attacks.noise,
    "square": lambda *a: mr.attacks.square(*a, queries=20),
    "pixel": lambda net, x, y: mr.attacks.pixel(net, x, y, 2),
    "brute_force_pixel": mr.attacks.brute_force_pixel,
    "greedy_pixel": lambda net, x, y: mr.attacks.greedy_pixel(net, x, y, 2),
    "transfer": lambda net, x, y: mr.attacks.transfer(net, net, x, y, mr.attacks.fgsm),
    "epsilon_curve": lambda net, x, y: mr.robustness.epsilon_curve(net, x, y, [0.1, 0.2]),
    "audit": lambda net, x, y: mr.audit(net, x, y, 0.1, budget="quick"),
}


# Nothing is left on the network


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_between_forward_and_backward_changes_nothing(name, data, backend):
    x, y = data
    net, twin = small(backend), small(backend)
    net.training = True
    logits = net.forward(x)
    ATTACKS[name](net, x[:10], y[:10])
    net.predict(x[:7])
    assert net.training
    np.testing.assert_array_equal(
        *(backend.to_numpy(a) for a in (net.backward(logits), twin.backward(twin.forward(x))))
    )
    np.testing.assert_array_equal(backend.to_numpy(net.gradients), backend.to_numpy(twin.gradients))


def test_several_threads_may_use_one_network(data):
    x, y = data
    net = small()
    expected = net.input_gradient(x, y), net.predict_proba(x), mr.attacks.pgd(net, x, y, steps=3).images

    def ask(_):
        answers = net.input_gradient(x, y), net.predict_proba(x), mr.attacks.pgd(net, x, y, steps=3).images
        return all(np.array_equal(a, b) for a, b in zip(answers, expected, strict=True))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, range(100)))


# One loop forward, one loop back


@pytest.mark.parametrize("name", [*ATTACKS, "predict", "hidden", "fit", "forward"])
def test_every_pass_goes_through_the_one_loop(name, data, monkeypatch):
    """A breakpoint in it stops training, predictions and every attack."""
    inside, outside = [], []
    whole, forward = Stack.run, mr.Dense.forward

    def run(self, *args, **kwargs):
        inside.append(True)
        try:
            return whole(self, *args, **kwargs)
        finally:
            inside.pop()

    def watch(self, x):
        outside.append(not inside)
        return forward(self, x)

    monkeypatch.setattr(Stack, "run", run)
    monkeypatch.setattr(mr.Dense, "forward", watch)
    monkeypatch.setattr(evidence, "prover", lambda model, steps: None)  # a certificate bounds layers, which is no pass
    net = small()
    if name == "fit":
        mr.fit(net, mr.SGD(net), data, epochs=1, progress=False)
    elif name in ATTACKS:
        ATTACKS[name](net, *(array[:10] for array in data))
    else:
        getattr(net, name)(data[0])
    assert outside
    assert not any(outside)


@pytest.mark.parametrize(
    ("call", "places"), [(".forward(", ["stack.py"]), (".input_gradient(", ["network.py", "stack.py"])]
)
def test_the_loops_over_layers_are_written_once(call, places):
    """`Network.backward` has a loop of its own, which asks for the parameters' gradients too.

    Certificates pass bounds through single layers, not samples through all of them.
    """
    package = Path(mr.__file__).parent
    files = [path for path in package.rglob("*.py") if not {"certify", "assignments"} & {*path.parts}]
    found = [path.name for path in files for _ in range(path.read_text("utf-8").count(f"layer{call}"))]
    assert sorted(found) == places


def test_data_are_checked_once_per_call(rng, monkeypatch):
    counts = {"check_batch": 0, "check_labels": 0}
    for name in counts:
        whole = getattr(validation, name)

        def count(*args, name=name, whole=whole, **options):
            counts[name] += 1
            return whole(*args, **options)

        for module in (validation, network_module, attack_module, mr.losses):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, count)
    net = small()
    x, y = rng.random((200, 6, 6, 1)), rng.integers(0, 4, 200)
    mr.attacks.pgd(net, x, y, steps=20, starts=2)
    assert 1 <= counts["check_batch"] <= 2
    assert 1 <= counts["check_labels"] <= 2


def test_a_trace_sees_predictions_and_attacks(data, backend):
    net = small(backend)
    with mr.trace(net) as record:
        net.predict(data[0])
    assert [row.what for row in record.rows] == ["output"] * 4
    with mr.trace(net) as record:
        mr.attacks.fgsm(net, *data)
    seen = {(row.layer, row.what) for row in record.rows}
    assert {(0, "∂L/∂input"), (3, "∂L/∂output"), (2, "output")} <= seen
    with mr.trace(net) as record:
        twin = net.copy()
        twin.predict(data[0])
    assert record.rows == []


# Logits that are not finite


def broken(backend="numpy", value=np.nan):
    """A network whose logits are not finite for samples with a first pixel above a half."""

    class Breaks(mr.Layer):
        saved = ("factor",)

        def forward(self, x):
            self.factor = self.xp.where(x[:, :1] > 0.5, value, 1).astype(x.dtype)
            return x * self.factor

        def input_gradient(self, grad_y):
            return grad_y * self.factor

    layers = [mr.Flatten(), Breaks(), mr.Dense(3)]
    net = mr.Network(layers, (2, 2, 1), backend=backend)
    net.layers[2].weight.value[...] = net.backend.asarray(np.ones((4, 3), "float32"))
    net.layers[2].bias.value[...] = net.backend.asarray(np.array([0, 5, 0], "float32"))
    x = np.full((6, 2, 2, 1), 0.25, "float32")
    x[[2, 4], 0, 0] = 0.75
    return net, x, np.ones(6, int)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_predict_raises_and_names_the_first_sample_without_a_class(value, backend):
    net, x, _ = broken(backend, value)
    with pytest.raises(
        mr.NonFiniteError, match=r"Network\(\[Flatten.*expected finite logits.* 2 of 6 samples, .*sample 2"
    ):
        net.predict(x)
    np.testing.assert_array_equal(backend.to_numpy(net.predict(x[:2])), [1, 1])


@pytest.mark.parametrize(
    "name",
    ["apgd", "fgsm", "fgvm", "pgd", "noise", "square", "pixel", "brute_force_pixel", "greedy_pixel", "transfer"],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_attacks_count_a_sample_without_a_class_as_fooled_and_report_it(name, backend):
    net, x, y = broken(backend)
    made = ATTACKS[name](net, x, y)
    predictions, fooled = backend.to_numpy(made.predictions), backend.to_numpy(made.fooled)
    assert (predictions[[2, 4]] == -1).all()
    assert fooled[[2, 4]].all()
    assert not backend.to_numpy(made.clean_correct)[[2, 4]].any()
    assert f"{(predictions == -1).sum()} of them with NaN or infinite logits" in repr(made)


@pytest.mark.parametrize("name", ["apgd", "fgsm", "fgvm", "pgd"])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_gradient_that_is_nan_moves_no_pixel(name, backend, rng):
    class Blind(mr.Tanh):
        def input_gradient(self, grad_y):
            return super().input_gradient(grad_y) * np.nan

    net = mr.Network([Blind(), mr.Dense(3)], (4,), backend=backend)
    x = rng.random((5, 4)).astype("float32")
    options = {"starts": 1} if name == "pgd" else {}
    made = getattr(mr.attacks, name)(net, x, net.predict(x), **options)
    np.testing.assert_array_equal(backend.to_numpy(made.images), x)
    assert not backend.to_numpy(made.fooled).any()


@pytest.mark.parametrize("name", ["brute_force_pixel", "greedy_pixel"])
def test_candidate_with_nan_logits_fools_the_network(name, backend):
    """One pixel above a half makes the logits NaN: class 0, if NaN were compared."""
    net, x, y = broken(backend)
    made = ATTACKS[name](net, x[:2], y[:2])
    np.testing.assert_array_equal(backend.to_numpy(made.predictions), [-1, -1])
    np.testing.assert_array_equal(backend.to_numpy(made.pixels)[:, 0], [0, 0])


@pytest.mark.filterwarnings("ignore:invalid value")
def test_audit_counts_samples_without_a_class(backend):
    net, x, y = broken(backend)
    report = mr.audit(net, x, y, 0.1, budget="quick")
    assert report.checks[0].flagged
    assert "2 samples have NaN or infinite logits" in report.checks[0].text
    assert report.fooled["clean"].tolist() == [False, False, True, False, True, False]
    assert report.fooled["worst case"][[2, 4]].all()


# What is refused at every door


DOORS = {
    "forward": lambda net, x, y: net.forward(x),
    "predict": lambda net, x, y: net.predict(x),
    "input_gradient": lambda net, x, y: net.input_gradient(x, y),
    "fit": lambda net, x, y: mr.fit(net, mr.SGD(net), (x, y), epochs=1, progress=False),
    "batches": lambda net, x, y: mr.batches(net, (x, y)),
    "gradcheck": lambda net, x, y: mr.gradcheck(net, x),
    **ATTACKS,
}


@pytest.mark.parametrize("name", DOORS)
def test_subclasses_of_ndarray_are_refused(name, data):
    x, y = data
    masked = np.ma.masked_array(x, mask=x > 0.9)
    with pytest.raises(TypeError, match=r"expected a plain ndarray, got numpy\.ma\..*MaskedArray: convert it first"):
        DOORS[name](small(), masked, y)
    if name not in ("forward", "predict", "gradcheck"):
        with pytest.raises(TypeError, match=r"labels: expected a plain ndarray, got numpy\.ma\..*MaskedArray"):
            DOORS[name](small(), x, np.ma.masked_array(y, mask=y == 0))


def test_a_matrix_is_refused(rng):
    net = mr.Network([mr.Dense(3)], (4,))
    with pytest.raises(TypeError, match=r"expected a plain ndarray, got numpy\.matrix"):
        net.predict(np.asmatrix(rng.random((5, 4))))
    net.forward(rng.random((5, 4)))
    with pytest.raises(TypeError, match=r"expected a plain ndarray, got numpy\.matrix"):
        net.backward(np.asmatrix(np.ones((5, 3))))


def test_the_same_numbers_for_every_memory_layout(data, tmp_path):
    x, y = data
    net = small()
    expected = net.input_gradient(x, y)
    mapped = np.memmap(tmp_path / "x", dtype="f4", mode="w+", shape=x.shape)
    mapped[:] = x
    read_only = x.copy()
    read_only.setflags(write=False)
    layouts = {
        "Fortran order": np.asfortranarray(x),
        "negative strides": x[::-1].copy()[::-1],
        "memory map": mapped,
        "big-endian": x.astype(">f4"),
        "read-only": read_only,
        "long double": x.astype("g"),
        "channels first": x.transpose(0, 3, 1, 2).copy().transpose(0, 2, 3, 1),
    }
    for name, array in layouts.items():
        got = net.input_gradient(array, y)
        assert got.dtype == "float32", name
        np.testing.assert_array_equal(got, expected, err_msg=name)


def test_pixels_one_rounding_outside_the_range_are_accepted_and_clipped(backend):
    net = mr.Network([mr.Dense(3)], (4,), backend=backend)
    x = np.array([[1 + 1.2e-7, -1e-8, 0.5, 1]], "float32")
    images = backend.to_numpy(mr.attacks.fgsm(net, x, [0], epsilon=0).images)
    np.testing.assert_array_equal(images, np.array([[1, 0, 0.5, 1]], "float32"))
    with pytest.raises(ValueError, match=r"expected pixels in \[0, 1\], got 0 to 1\.00000048"):
        mr.attacks.fgsm(net, np.array([[0, 1 + 4.8e-7, 0, 0]], "float32"), [0])


def test_range_that_float32_cannot_represent_is_respected(backend):
    net = mr.Network([mr.Dense(3)], (2,), backend=backend, input_range=(0.1, 0.9))
    x = np.array([[np.float32(0.1), np.float32(0.9)]])
    images = backend.to_numpy(mr.attacks.noise(net, x, [0], epsilon=0.8).images)
    assert 0.0999999 < images.min() <= images.max() < 0.9000001


def test_epsilon_one_rounding_above_the_width_is_clipped_and_more_is_refused(rng):
    net = mr.Network([mr.Dense(3)], (4,))
    assert mr.attacks.fgsm(net, rng.random((2, 4)), [0, 1], epsilon=1 + 1e-7).epsilon == 1
    with pytest.raises(ValueError, match=r"expected epsilon in \[0, 1\], got 1.000001"):
        mr.attacks.fgsm(net, rng.random((2, 4)), [0, 1], epsilon=1.000001)


# NumPy's error mode


@pytest.fixture
def saturated(rng):
    net = mr.models.mlp(1 / 64, (6, 6, 1), hidden=30, classes=4)
    net.parameters *= 20  # exp(-net/T) underflows
    return net


@pytest.mark.parametrize("name", [*DOORS, "predict_proba", "saliency", "trace", "custom loop", "copy"])
def test_an_error_mode_that_raises_breaks_nothing(name, saturated, data):
    x, y = data
    if name == "gradcheck":
        pytest.skip("has a test of its own")

    def answer(net):
        if name == "predict_proba":
            return net.predict_proba(x)
        if name == "saliency":
            return mr.saliency.magnitude(net, x, y)
        if name == "copy":
            return net.to("numpy", "float64").to("numpy", "float32").parameters
        if name == "trace":
            with mr.trace(net):
                return net.forward(x)
        if name == "batches":
            return next(iter(mr.batches(net, (x, y))))[0]
        if name == "custom loop":
            adam = mr.Adam(net)
            for images, labels in mr.batches(net, (x, y), 16):
                _, gradient = mr.SoftmaxCrossEntropy().value_and_gradient(net.forward(images), labels)
                net.backward(gradient)
                adam.step()
            return net.parameters
        result = DOORS[name](net, x, y)
        if name == "fit":
            return net.parameters
        return getattr(result, "images", None) if hasattr(result, "images") else str(result)

    expected = answer(saturated.copy())
    with np.errstate(all="raise"):
        got = answer(saturated.copy())
        assert np.geterr()["under"] == "raise"
    np.testing.assert_array_equal(got, expected)


def test_an_error_mode_is_restored_after_an_error(saturated):
    with np.errstate(all="raise"):
        saturated.forward(np.ones((1, 6, 6, 1)))
        with pytest.raises(ValueError, match="gradient of shape"):
            saturated.backward(np.ones((2, 4)))
        saturated.layers[1].parameter_gradients = None
        with pytest.raises(TypeError):
            saturated.backward(np.ones((1, 4), "float32"))
        assert np.geterr()["under"] == "raise"


@pytest.mark.parametrize("loss", [mr.SoftmaxCrossEntropy(), mr.Margin()])
def test_losses_ignore_the_error_mode(loss):
    with np.errstate(all="raise"):
        value, _ = loss.value_and_gradient(np.array([[0.0, 800.0]]), np.array([1]))
    assert value[0] in (0.0, -800.0)


def test_the_tail_of_tanh_ignores_the_error_mode():
    net = mr.Network([mr.Tanh()], (1,))
    with np.errstate(all="raise"):
        net.forward(np.array([[60.0]], "float32"))
        assert net.backward(np.ones((1, 1), "float32"))[0, 0] >= 0


def test_numpys_error_mode_was_found():
    from minirobust.floating_point import ERROR_MODE, IGNORE

    assert ERROR_MODE.name != "unused"
    with np.errstate(all="raise"):
        mode = ERROR_MODE.set(IGNORE)
        assert np.exp(np.float32([-1000])) == 0
        ERROR_MODE.reset(mode)
        with pytest.raises(FloatingPointError):
            np.exp(np.float32([-1000]))


# Random layers


class Noise(mr.Layer):
    """Adds noise in evaluation too, from two draws."""

    def forward(self, x):
        return x + (self.random(x.shape) - self.random(x.shape)) * 0.2

    def input_gradient(self, grad_y):
        return grad_y


@pytest.fixture
def noisy(backend):
    return mr.Network([mr.Flatten(), Noise(), mr.Dense(8), mr.Tanh(), mr.Dense(4)], (6, 6, 1), backend=backend)


def test_random_layer_repeats_its_output_in_evaluation(noisy, data, backend):
    x, y = data
    noise = noisy.layers[1]
    for ask in (noisy.logits, noisy.forward, lambda x: mr.attacks.pgd(noisy, x, y, steps=3).images):
        first, second = (backend.to_numpy(ask(x)) for _ in range(2))
        np.testing.assert_array_equal(first, second)
    assert noise.draws == 0
    hidden = backend.to_numpy(noisy.evaluate(x, stop=2)) - x.reshape(len(x), -1)
    assert 0.05 < hidden.std() < 0.12  # two different draws, not one twice


def test_training_draws_new_numbers_every_time(noisy, data, backend):
    noisy.training = True
    first, second = (backend.to_numpy(noisy.forward(data[0])) for _ in range(2))
    assert (first != second).any()
    assert noisy.layers[1].draws == 4


def test_float64_copy_draws_the_same_numbers(noisy, data, backend):
    x, _ = data
    twin = noisy.to(backend, dtype="float64")
    single = backend.to_numpy(noisy.evaluate(x, stop=2)) - x.reshape(len(x), -1)
    double = backend.to_numpy(twin.evaluate(x.astype("float64"), stop=2)) - x.reshape(len(x), -1)
    np.testing.assert_allclose(single, double, atol=1e-6)
    health = gradient_health(Evaluation(noisy), *map(backend.asarray, data))
    assert health.sign_flips < 0.01


def test_evaluation_after_training_continues_from_the_networks_stream(noisy, data, backend):
    noisy.training = True
    noisy.forward(data[0])
    noisy.training = False
    before = backend.to_numpy(noisy.logits(data[0]))
    assert noisy.layers[1].draws == 2
    np.testing.assert_array_equal(backend.to_numpy(noisy.copy().logits(data[0])), before)


def test_evaluation_view_has_the_interface_of_a_model(data, backend):
    net = small(backend)
    model = Evaluation(net)
    assert (model.input_shape, model.output_shape, model.input_range) == ((6, 6, 1), (4,), (0, 1))
    x, y = (backend.asarray(array) for array in data)
    logits, losses, gradient = model.gradient(x, y, mr.Margin())
    np.testing.assert_array_equal(backend.to_numpy(logits), backend.to_numpy(net.logits(x)))
    np.testing.assert_array_equal(
        backend.to_numpy(losses), backend.to_numpy(mr.Margin().value_and_gradient(logits, y)[0])
    )
    np.testing.assert_array_equal(backend.to_numpy(gradient), backend.to_numpy(net.input_gradient(x, y, mr.Margin())))
