"""The drawings: that they show what they are given, with words and units, and take what a short run gives them."""

import numpy as np
import pytest
from matplotlib.figure import Figure

import minirobust as mr


@pytest.fixture
def axes():
    return Figure().subplots()


def test_the_learning_curve_shows_all_three_series_over_epochs_from_1(axes):
    mr.plots.learning_curve(axes, loss=[2.0, 1.0], accuracy=[0.5, 0.75], robustness=[0.25, 0.125])
    accuracy, robustness = axes.lines
    np.testing.assert_array_equal(accuracy.get_xdata(), [1, 2])
    np.testing.assert_array_equal(accuracy.get_ydata(), [0.5, 0.75])
    np.testing.assert_array_equal(robustness.get_ydata(), [0.25, 0.125])
    (right,) = (other for other in axes.figure.axes if other is not axes)
    np.testing.assert_array_equal(right.lines[0].get_ydata(), [2, 1])
    assert right.get_ylabel() == "cross entropy [nat]"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "test accuracy",
        "FGSM robustness",
        "training loss (right)",
    ]


@pytest.mark.parametrize("epochs", [1, 3])
def test_the_regimes_are_stacked_to_one(axes, epochs):
    mr.plots.regimes_over_epochs(axes, [0.2] * epochs, [0.3] * epochs, [0.5] * epochs)
    tops = [area.get_paths()[0].vertices[:, 1].max() for area in axes.collections]
    np.testing.assert_allclose(tops, [0.2, 0.5, 1.0])
    left, right = axes.get_xlim()
    assert left < right


@pytest.mark.parametrize("channels", [1, 3])
def test_images_stand_above_their_adversarials_with_captions(channels, rng):
    axes = Figure().subplots(2, 4)
    images = rng.random((4, 5, 6, channels))
    mr.plots.adversarial_row(axes, images, 1 - images, list("abcd"), list("efgh"))
    assert [axis.get_title() for axis in axes.ravel()] == list("abcdefgh")
    np.testing.assert_array_equal(np.squeeze(axes[1, 2].images[0].get_array()), np.squeeze(1 - images[2]))


@pytest.mark.parametrize("shown", [1, 8])
def test_the_story_of_a_run_fits_one_page(tmp_path, rng, shown):
    epoch = {"loss": 1, "accuracy": 0.5, "robustness": 0.2, "linear": 0.2, "nonlinear": 0.5, "saturated": 0.3}
    images = rng.random((shown, 28, 28, 1))
    figure = Figure(figsize=(11, 8))
    mr.plots.training_story(figure, [epoch, epoch], images, images, ["7"] * shown, ["1"] * shown, "title")
    figure.savefig(tmp_path / "story.png")
    assert len(figure.get_axes()) == 3 + 2 * shown
    assert figure.get_suptitle() == "title"
