"""`StudyConfig`: wrong values raise with the choices, and TOML and the command line preserve a configuration."""

import shlex
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirobust.study import PRESETS, StudyConfig
from minirobust.study.config import parse, words

MNIST = PRESETS["mnist"]


def test_the_presets_are_the_published_study():
    mlp, cnn = PRESETS["mnist"], PRESETS["cifar10"]
    assert mlp.temperatures == tuple(2.0**k for k in range(-6, 5))  # 1/64, 1/32, ..., 8, 16
    assert cnn.temperatures == tuple(2.0**k for k in range(-3, 4))  # 1/8, ..., 8
    assert (mlp.epochs, cnn.epochs) == (100, 50)
    assert (mlp.pixels, cnn.pixels) == (3, 2)
    for preset in PRESETS.values():
        assert (preset.batch_size, preset.learning_rate, preset.epsilon) == (64, 1e-3, 0.1)
        assert (preset.delta1, preset.delta2) == (0.05, 0.0005)
    assert {name: preset.model for name, preset in PRESETS.items()} == {
        "mnist": "mlp",
        "fashion-mnist": "mlp",
        "svhn": "cnn",
        "cifar10": "cnn",
        "quick": "mlp",
    }


def test_temperatures_and_seeds_are_in_ascending_order_however_they_are_given():
    config = MNIST.but(temperatures=(16, 1 / 64, 2), seeds=(3, 0))
    assert (config.temperatures, config.seeds) == ((1 / 64, 2.0, 16.0), (0, 3))
    assert config == MNIST.but(temperatures=(2, 16, 1 / 64), seeds=(0, 3))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temperatures": (0.0,)}, r"expected temperature in \(0, inf\), got 0"),
        ({"temperatures": (1.0, -2.0)}, r"expected temperature in \(0, inf\), got -2"),
        ({"temperatures": ()}, "one or more different values"),
        ({"temperatures": (1.0, 1.0)}, "one or more different values"),
        ({"temperatures": 1.0}, "one or more different values"),
        ({"temperatures": (400.0,)}, "saturated regime begins"),
        ({"temperatures": (600.0,)}, "never delta2"),
        ({"delta1": 2.0}, "saturated regime begins"),
        ({"dataset": "imagenet"}, "mnist, fashion-mnist, svhn, cifar10, digits, colour-digits or the path"),
        ({"model": "resnet"}, "expected model to be mlp or cnn, got 'resnet'"),
        ({"backend": "torch"}, "expected backend to be auto or"),
        ({"audit_budget": "huge"}, "expected audit_budget to be quick or standard or full"),
        ({"dtype": "float16"}, "expected dtype 'float32' or 'float64'"),
        ({"epsilon": 0}, r"expected epsilon in \(0, 1\], got 0"),
        ({"epsilon": 1.5}, r"expected epsilon in \(0, 1\], got 1.5"),
        ({"epsilon": float("nan")}, r"expected epsilon in \(0, 1\], got nan"),
        ({"epsilon": 0.15}, "main epsilon 0.15 among them"),
        ({"epsilons": (0.2, 0.1)}, "ascending order"),
        ({"epochs": 0}, "expected epochs to be a whole number of at least 1, got 0"),
        ({"batch_size": 6.4}, "batch_size to be a whole number"),
        ({"seeds": (-1,)}, "expected seed to be a whole number of at least 0"),
        ({"learning_rate": 0}, "expected learning_rate in"),
        ({"pixel": 3}, "expected the fields dataset, model.*got pixel"),
    ],
)
def test_wrong_values_raise_and_name_what_was_expected(changes, message):
    with pytest.raises(ValueError, match=message):
        MNIST.but(**changes)


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_preset_survives_a_round_trip_through_toml(preset):
    assert StudyConfig.from_toml(preset.to_toml()) == preset


@given(
    dataset=st.text(max_size=30).map(lambda name: name + ".h5"),
    temperatures=st.lists(st.floats(0.005, 300), min_size=1, max_size=4, unique=True),
    learning_rate=st.floats(1e-12, 1e6),
    seeds=st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=3, unique=True),
)
def test_valid_configuration_survives_a_round_trip_through_toml(dataset, temperatures, learning_rate, seeds):
    config = MNIST.but(dataset=dataset, temperatures=temperatures, learning_rate=learning_rate, seeds=seeds)
    assert StudyConfig.from_toml(config.to_toml()) == config


def test_toml_by_hand_needs_four_fields_and_names_the_one_that_is_missing():
    few = 'dataset = "digits"\nmodel = "mlp"\ntemperatures = [1, 2.5]\n'
    config = StudyConfig.from_toml(few + "epochs = 3\n")
    assert (config.temperatures, config.epochs, config.batch_size) == ((1.0, 2.5), 3, 64)
    with pytest.raises(ValueError, match="expected the field epochs, got dataset, model, temperatures"):
        StudyConfig.from_toml(few)
    with pytest.raises(ValueError, match="got tempratures"):
        StudyConfig.from_toml(few.replace("temperatures", "tempratures"))
    with pytest.raises(tomllib.TOMLDecodeError):
        StudyConfig.from_toml("epochs: 3")


def test_text_of_a_command_line_becomes_values():
    assert parse("temperatures", "1/64,1,2.5") == [1 / 64, 1.0, 2.5]
    assert parse("seeds", "0,7") == [0, 7]
    assert parse("epochs", "12") == 12
    assert parse("epsilon", "1/8") == 0.125
    assert parse("dataset", "svhn") == "svhn"
    assert parse("audit_budget", "full") == "full"
    for name, text in [("epochs", "many"), ("epochs", "1,2"), ("temperatures", "1/0"), ("seeds", "1.5"), ("T", "1")]:
        with pytest.raises(ValueError, match=f"{name}"):
            parse(name, text)


@pytest.mark.parametrize(
    "config",
    [
        PRESETS["quick"],
        PRESETS["svhn"].but(dataset="my s.h5", seeds=(0, 1), learning_rate=1e-5),
        PRESETS["mnist"].but(temperatures=(1 / 64, 0.3), audit_budget="full", dtype="float64", pixels=1),
    ],
)
def test_the_words_of_a_command_line_give_the_configuration_again(config):
    preset, *options = shlex.split(words(config))
    pairs = zip(options[::2], options[1::2], strict=True)
    names = {name.removeprefix("--").replace("-", "_"): text for name, text in pairs}
    assert PRESETS[preset].but(**{name: parse(name, text) for name, text in names.items()}) == config
    assert len(names) == sum(getattr(config, name) != getattr(PRESETS[preset], name) for name in config.to_dict())
