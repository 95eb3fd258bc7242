"""The plots show the given data with labels and units, and accept the results of a short run."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.colors import to_rgb
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


def test_every_curve_of_the_learning_curve_stands_out_from_white(axes):
    """By 3 to 1 at least, as WCAG 2.1 asks of graphics."""
    mr.plots.learning_curve(axes, loss=[2.0, 1.0], accuracy=[0.5, 0.75], robustness=[0.25, 0.125])
    lines = [line for part in axes.figure.axes for line in part.lines]
    assert len(lines) == 3
    assert min(contrast(line.get_color(), "white") for line in lines) >= 3


@pytest.mark.parametrize("epochs", [1, 3])
def test_the_regimes_are_stacked_to_one(axes, epochs):
    mr.plots.regimes_over_epochs(axes, [0.2] * epochs, [0.3] * epochs, [0.5] * epochs)
    tops = [area.get_paths()[0].vertices[:, 1].max() for area in axes.collections]
    np.testing.assert_allclose(tops, [0.2, 0.5, 1.0])
    left, right = axes.get_xlim()
    assert left < right


def test_the_curves_over_epsilon_are_sorted_and_told_apart_without_colour(axes):
    curves = {f"T = {index}": [0.1, 0.9, 0.5 - index / 100] for index in range(11)}
    mr.plots.robustness_over_epsilon(axes, [0.3, 0.0, 0.1], curves)
    assert [line.get_label() for line in axes.lines] == list(curves)
    for index, line in enumerate(axes.lines):
        np.testing.assert_array_equal(line.get_xdata(), [0, 0.1, 0.3])
        np.testing.assert_array_equal(line.get_ydata(), [0.9, 0.5 - index / 100, 0.1])
    assert len({(line.get_color(), line.get_linestyle()) for line in axes.lines}) == 11
    assert all(a.get_linestyle() != b.get_linestyle() for a, b in pairwise(axes.lines))
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(curves)
    assert axes.get_ylim()[0] == 0
    assert axes.get_xlabel().startswith("ε")


def test_band_surrounds_its_curve_in_the_same_colour(axes):
    curves = {"a": [0.9, 0.5], "b": [0.8, 0.4]}
    mr.plots.robustness_over_epsilon(axes, [0.1, 0.0], curves, {"b": ([0.7, 0.3], [0.85, 0.55])})
    (band,) = axes.collections
    corners = set(map(tuple, band.get_paths()[0].vertices))
    assert corners == {(0.1, 0.7), (0.0, 0.3), (0.1, 0.85), (0.0, 0.55)}
    assert to_rgb(band.get_facecolor()[0]) == to_rgb(axes.lines[1].get_color())


@pytest.mark.parametrize(
    ("curves", "bands", "message"),
    [
        ({"a": [1, 2, 3]}, None, r"curve 'a': expected shape \(2,\), got \(3,\)"),
        ({"a": [1, 0]}, {"a": [1, 0]}, r"band 'a': expected shape \(2, 2\), got \(2,\)"),
        ({"a": [1, 0]}, {"b": ([0, 0], [1, 1])}, r"bands: expected labels of curves, \['a'\], got \['b'\]"),
    ],
)
def test_curves_that_do_not_fit_are_refused(axes, curves, bands, message):
    with pytest.raises(ValueError, match=message):
        mr.plots.robustness_over_epsilon(axes, [0, 0.1], curves, bands)


def followed(loss, fooled):
    """An attack with such a history and nothing else."""
    nothing = np.zeros(len(fooled), bool)
    history = mr.attacks.History(np.array(loss), np.array(fooled))
    return mr.attacks.Attack(nothing, nothing, nothing, nothing, 0.1, history=history)


def test_the_history_of_an_attack_shows_where_it_stalled(axes):
    rising = followed([0.1, 0.2, 0.4, 0.5], [0.0, 0.25, 0.5, 0.75])
    stalled = followed([0.1, 0.3, 0.3, 0.3], [0.0, 0.5, 0.5, 0.5])
    mr.plots.attack_history(axes, rising, stalled, labels=["rising", "stalled"])
    (right,) = (other for other in axes.figure.axes if other is not axes)
    for attack, line, loss, last in zip((rising, stalled), axes.lines, right.lines, (3, 1), strict=False):
        np.testing.assert_array_equal(line.get_xdata(), range(4))
        np.testing.assert_array_equal(line.get_ydata(), attack.history.fooled)
        np.testing.assert_array_equal(loss.get_ydata(), attack.history.loss)
        assert line.get_markevery() == [last]
        assert line.get_color() == loss.get_color()
    assert len({line.get_marker() for line in axes.lines[:2]}) == 2
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["rising", "stalled", "mean loss (right)"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("iterate", "share of samples fooled")
    assert right.get_ylabel() == "mean loss"


def test_attacks_without_a_history_or_a_label_are_refused(axes):
    attack = followed([0.1], [0.0])
    with pytest.raises(ValueError, match="labels: expected one for each of 2 attacks, got 1"):
        mr.plots.attack_history(axes, attack, attack, labels=["a"])
    with pytest.raises(ValueError, match="attack 'b': expected one made with history=True, got <Attack on 1 images"):
        mr.plots.attack_history(axes, attack, replace(attack, history=None), labels=["a", "b"])


@pytest.mark.parametrize(
    ("temperature", "label"),
    [(1 / 64, "1/64"), (0.5, "1/2"), (1, "1"), (np.float32(16), "16"), (np.float32(0.25), "1/4"), (0.1, "0.1")],
)
def test_a_temperature_is_written_as_the_study_writes_it(temperature, label):
    assert mr.regimes.temperature_label(temperature) == label


@pytest.mark.parametrize("temperature", [0, -1, np.nan, np.inf, "1"])
def test_label_of_an_invalid_temperature_raises(temperature):
    with pytest.raises(ValueError, match="temperature_label: expected temperature in"):
        mr.regimes.temperature_label(temperature)


TEMPERATURES = [2.0**k for k in range(-6, 5)]
LABELS = ["1/64", "1/32", "1/16", "1/8", "1/4", "1/2", "1", "2", "4", "8", "16"]
DIGITS = list("0123456789")


def luminance(colour):
    """WCAG 2.1: 0 of black, 1 of white."""

    def linear(c):
        return c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4

    red, green, blue = map(linear, to_rgb(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    dark, bright = sorted((luminance(one), luminance(other)))
    return (bright + 0.05) / (dark + 0.05)


def cells(axes):
    """{(row, column): (text, its colour, the cell's colour)} as drawn."""
    (image,) = axes.images
    drawn = image.to_rgba(image.get_array())
    places = {(round(text.get_position()[1]), round(text.get_position()[0])): text for text in axes.texts}
    return {place: (text.get_text(), text.get_color(), drawn[place]) for place, text in places.items()}


def test_every_cell_of_a_map_says_its_number_where_it_belongs(axes):
    values = np.arange(110).reshape(10, 11) / 110
    mr.plots.class_temperature_map(axes, values, TEMPERATURES, DIGITS, title="success", unit="share", form=".0%")
    drawn = cells(axes)
    assert {place: text for place, (text, _, _) in drawn.items()} == {
        (row, column): f"{values[row, column] * 100:.0f}%" for row in range(10) for column in range(11)
    }
    np.testing.assert_array_equal(axes.images[0].get_array(), values)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == [
        "1/64",
        "1/32",
        "1/16",
        "1/8",
        "1/4",
        "1/2",
        "1",
        "2",
        "4",
        "8",
        "16",
    ]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == DIGITS
    assert axes.get_ylim() == (9.5, -0.5)  # class 0 on top
    assert (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) == ("success", "temperature T", "class")
    (bar,) = (other for other in axes.figure.axes if other is not axes)
    assert bar.get_ylabel() == "share"
    assert bar.get_ylim() == (0, 109 / 110)


@pytest.mark.parametrize("log", [False, True])
def test_every_number_is_legible_on_its_cell(axes, log):
    values = np.geomspace(1e-6, 1, 110).reshape(10, 11) if log else np.linspace(-1, 0, 110).reshape(10, 11)
    values[4, 5] = np.nan
    mr.plots.class_temperature_map(axes, values, TEMPERATURES, DIGITS, log=log)
    assert min(contrast(ink, cell) for _, ink, cell in cells(axes).values()) >= 4.5  # WCAG's level AA
    assert len({tuple(cell) for _, _, cell in cells(axes).values()}) > 50


def test_unknown_cells_are_grey_with_a_dash(axes):
    values = np.array([[0.25, np.nan, 0.75]])
    mr.plots.class_temperature_map(axes, values, [1, 2, 4], ["a"])
    texts, _, colours = zip(*(cells(axes)[0, column] for column in range(3)), strict=True)
    assert texts == ("0.25", "–", "0.75")
    red, green, blue, _ = colours[1]
    assert red == green == blue
    assert all(len(set(colour[:3])) > 1 for colour in (colours[0], colours[2]))


def test_limits_hold_the_colours_of_several_maps_together(axes):
    values = np.array([[-2.0, -1.0, -0.004, 0.0, 3.0]])
    mr.plots.class_temperature_map(axes, values, [1, 2, 4, 8, 16], ["a"], limits=(-1, 0))
    drawn = cells(axes)
    assert axes.images[0].get_clim() == (-1, 0)
    assert [drawn[0, column][0] for column in range(5)] == ["−2.00", "−1.00", "0.00", "0.00", "3.00"]
    np.testing.assert_array_equal(drawn[0, 0][2], drawn[0, 1][2])  # beyond an end: the colour of that end
    np.testing.assert_array_equal(drawn[0, 3][2], drawn[0, 4][2])
    assert (drawn[0, 1][2] != drawn[0, 3][2]).any()


@pytest.mark.parametrize("limits", [None, (-0.8, 0.8)])
def test_a_signed_map_shows_the_sign_about_white(axes, limits):
    values = np.array([[-0.8, -0.1, 0.0, 0.1, 0.4]])
    mr.plots.class_temperature_map(axes, values, [1, 2, 4, 8, 16], ["a"], limits=limits, signed=True)
    assert axes.images[0].get_clim() == (-0.8, 0.8)
    colours = [cells(axes)[0, column][2][:3] for column in range(5)]
    assert min(colours[2]) > 0.95
    assert all(blue > red for red, _, blue in colours[:2])
    assert all(red > blue for red, _, blue in colours[3:])
    assert min(contrast(ink, cell) for _, ink, cell in cells(axes).values()) >= 4.5


def test_on_a_logarithmic_scale_zero_takes_the_colour_of_the_lower_end(axes):
    mr.plots.class_temperature_map(axes, np.array([[0.0, 1e-4, 1e-2, 1.0]]), [1, 2, 4, 8], ["a"], form=".0e", log=True)
    drawn = cells(axes)
    assert [drawn[0, column][0] for column in range(4)] == ["0e+00", "1e−04", "1e−02", "1e+00"]
    np.testing.assert_array_equal(drawn[0, 0][2], drawn[0, 1][2])
    assert axes.images[0].norm(1e-2) == pytest.approx(0.5)


@pytest.mark.filterwarnings("error", "default::DeprecationWarning")  # those of pyparsing are matplotlib's affair
@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("value", [0.0, 0.5, np.nan])
def test_a_map_of_one_value_or_none_is_drawn(value, log):
    figure = Figure(figsize=(3, 3))
    mr.plots.class_temperature_map(figure.subplots(), np.full((2, 2), value), [1, 2], ["a", "b"], log=log)
    figure.canvas.draw()


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (np.zeros((11, 10)), {}, r"values: expected shape \(10, 11\), got \(11, 10\)"),
        (np.full((10, 11), np.inf), {}, "expected finite numbers or NaN, got infinity"),
        (np.zeros((10, 11)), {"limits": (1, 0)}, r"limits: expected \(low, high\) with low <= high, got \(1, 0\)"),
        (np.zeros((10, 11)), {"limits": (np.nan, 1)}, "limits: expected"),
        (np.ones((10, 11)), {"limits": (0, 1), "log": True}, "with 0 < low <= high"),
        (np.ones((10, 11)), {"limits": (-1, 0), "signed": True}, r"limits: expected \(-high, high\), got \(-1, 0\)"),
    ],
)
def test_maps_that_cannot_be_drawn_are_refused(axes, values, options, message):
    with pytest.raises(ValueError, match=message):
        mr.plots.class_temperature_map(axes, values, TEMPERATURES, DIGITS, **options)


def test_maps_side_by_side_share_scale_bar_and_axes(rng):
    figure = Figure()
    maps = {"1 pixel": rng.uniform(0.2, 0.3, (10, 11)), "2 pixels": rng.uniform(0.5, 0.9, (10, 11))}
    mr.plots.class_temperature_maps(figure, maps, TEMPERATURES, DIGITS, unit="share of images fooled")
    left, right, bar = figure.axes
    both = min(map(np.min, maps.values())), max(map(np.max, maps.values()))
    for axes, title in ((left, "1 pixel"), (right, "2 pixels")):
        assert axes.get_title() == title
        assert axes.images[0].get_clim() == both
        assert len(axes.texts) == 110
    assert bar.get_ylabel() == "share of images fooled"
    assert (left.get_ylabel(), right.get_ylabel()) == ("class", "")
    with pytest.raises(ValueError, match="maps: expected at least one"):
        mr.plots.class_temperature_maps(Figure(), {}, TEMPERATURES, DIGITS)
    with pytest.raises(ValueError, match=r"b: expected shape \(10, 11\), got \(3, 3\)"):
        mr.plots.class_temperature_maps(Figure(), {"a": maps["1 pixel"], "b": np.eye(3)}, TEMPERATURES, DIGITS)


def test_nothing_of_three_maps_of_eleven_temperatures_overlaps(rng):
    figure = Figure(figsize=(15, 4))
    mr.plots.class_temperature_maps(
        figure, {str(n): -rng.random((10, 11)) for n in (1, 2, 3)}, TEMPERATURES, DIGITS, unit="share", limits=(-1, 0)
    )
    figure.draw_without_rendering()
    width, height = figure.canvas.get_width_height()
    boxes = [axes.get_tightbbox() for axes in figure.axes]
    for axes, box in zip(figure.axes, boxes, strict=True):
        assert 0 <= box.x0 <= box.x1 <= width
        assert 0 <= box.y0 <= box.y1 <= height
        cell = axes.bbox.width / 11
        assert all(text.get_window_extent().width < 0.95 * cell for text in axes.texts)
        ticks = [tick.get_window_extent() for tick in axes.get_xticklabels() if tick.get_text()]
        assert all(one.x1 < other.x0 for one, other in pairwise(ticks))
    assert all(one.x1 <= other.x0 for one, other in pairwise(boxes))


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_drawn_in_a_row_with_captions(channels, rng):
    axes = Figure().subplots(1, 3)
    images = rng.random((3, 5, 6, channels))
    mr.plots.image_row(axes, images, list("abc"))
    assert [axis.get_title() for axis in axes] == list("abc")
    for axis, image in zip(axes, images, strict=True):
        np.testing.assert_array_equal(np.squeeze(axis.images[0].get_array()), np.squeeze(image))
        assert axis.images[0].get_clim() == (0, 1)


def test_difference_is_drawn_between_images_and_adversarials(rng):
    axes = Figure().subplots(3, 4)
    images = rng.random((4, 5, 6, 1)).astype("float32")
    adversarials = images.copy()
    adversarials[2, 1, 3], adversarials[3, 0, 0] = images[2, 1, 3] - 0.25, images[3, 0, 0] + 0.125
    mr.plots.adversarial_rows(axes, images, adversarials, list("abcd"), list("efgh"))
    assert [axis.get_title() for axis in axes.ravel()] == [*"abcd", *[""] * 4, *"efgh"]
    assert [axis.get_ylabel() for axis in axes[:, 0]] == ["image", "difference", "adversarial"]
    np.testing.assert_array_equal(np.squeeze(axes[2, 2].images[0].get_array()), np.squeeze(adversarials[2]))
    (third,), (fourth,) = axes[1, 2].images, axes[1, 3].images
    np.testing.assert_allclose(np.squeeze(third.get_array())[1, 3], -0.25, atol=1e-6)
    for row in axes[1]:
        np.testing.assert_allclose(row.images[0].get_clim(), (-0.25, 0.25), atol=1e-6)
    white = fourth.to_rgba(0.0)[:3]
    assert min(white) > 0.95  # no change is white,
    red, _, blue, _ = fourth.to_rgba(0.125)
    assert red > blue + 0.2  # brighter is red,
    red, _, blue, _ = third.to_rgba(-0.25)
    assert blue > red + 0.2  # and darker blue
    (bar,) = axes[1, 3].child_axes
    assert [tick.get_text() for tick in bar.get_yticklabels()] == ["−0.25", "0", "+0.25"]
    assert bar.get_ylim() == third.get_clim()
    (colours,) = (part for part in bar.collections if part.get_array() is not None)
    np.testing.assert_array_equal(colours.to_rgba([-0.25, 0.1]), third.to_rgba([-0.25, 0.1]))


def test_the_difference_of_colour_images_lies_about_middle_grey_in_each_channel():
    axes = Figure().subplots(3, 1, squeeze=False)
    images = np.full((1, 4, 4, 3), 0.5)
    adversarials = images + np.array([0.2, -0.2, 0.0])
    mr.plots.adversarial_rows(axes, images, adversarials, ["a"], ["b"])
    np.testing.assert_allclose(axes[1, 0].images[0].get_array(), np.broadcast_to([1, 0, 0.5], (4, 4, 3)), atol=1e-7)


def test_an_attack_that_changed_nothing_is_drawn_as_nothing(tmp_path):
    figure = Figure()
    images = np.full((2, 4, 4, 1), 0.5)
    axes = figure.subplots(3, 2)
    mr.plots.adversarial_rows(axes, images, images, ["a", "b"], ["c", "d"])
    figure.savefig(tmp_path / "rows.png")
    assert not np.asarray(axes[1, 0].images[0].get_array()).any()


@pytest.mark.parametrize(
    ("rows", "adversarials", "message"),
    [
        (2, (4, 5, 6, 1), r"axes: expected shape \(3, 4\), got \(2, 4\)"),
        (3, (3, 5, 6, 1), r"adversarials: expected shape \(4, 5, 6, 1\), got \(3, 5, 6, 1\)"),
    ],
)
def test_rows_that_do_not_fit_are_refused(rows, adversarials, message):
    with pytest.raises(ValueError, match=message):
        mr.plots.adversarial_rows(
            Figure().subplots(rows, 4), np.zeros((4, 5, 6, 1)), np.zeros(adversarials), list("abcd"), list("efgh")
        )


def test_circles_lie_on_their_pixels_whole_at_the_border_and_leave_out_none(axes):
    mr.plots.circle_pixels(axes, [0, 30, 783, -1], width=28)
    (circles,) = axes.collections
    np.testing.assert_array_equal(circles.get_offsets(), [(0, 0), (2, 1), (27, 27)])
    assert not circles.get_clip_on()
    assert len(circles.get_facecolors()) == 0


@pytest.mark.parametrize("shown", [1, 8])
def test_the_story_of_a_run_fits_one_page(rng, shown):
    epoch = {"loss": 1, "accuracy": 0.5, "robustness": 0.2, "linear": 0.2, "nonlinear": 0.5, "saturated": 0.3}
    images = rng.random((shown, 28, 28, 1))
    figure = Figure(figsize=(11, 9))
    mr.plots.training_story(figure, [epoch, epoch], images, images, ["7"] * shown, ["1"] * shown, "title")
    figure.draw_without_rendering()  # warns, which is an error here, if there is no room
    assert len(figure.get_axes()) == 3 + 3 * shown
    assert figure.get_suptitle() == "title"


# The network itself


def words(figure):
    return [text.get_text() for text in figure.axes[0].texts if text.get_text()]


def test_a_network_is_drawn_with_every_layer_and_every_shape():
    figure = mr.plots.architecture(mr.models.cnn(0.25))
    said = words(figure)
    shapes = ["32 × 32 × 3", "28 × 28 × 16", "14 × 14 × 16", "10 × 10 × 32", "5 × 5 × 32", "800", "128", "10"]
    assert [text for text in said if text in shapes] == shapes
    layers = "\n".join(text for text in said if text not in shapes).splitlines()
    assert layers == [repr(layer) for layer in mr.models.cnn(0.25).layers]


class Twice(mr.Layer):
    """A custom layer that keeps the shape."""

    def forward(self, x):
        return 2 * x

    def input_gradient(self, grad_y):
        return 2 * grad_y


@pytest.mark.parametrize(
    ("layers", "input_shape"),
    [
        ([mr.Dense(3)], (4,)),
        ([mr.Flatten()], (2, 3, 1)),
        ([Twice(), mr.Dense(1), mr.Softmax()], (5,)),
        ([mr.Conv2D(4, 3), mr.ReLU(), mr.AvgPool2D(2), mr.Dropout(0.5), mr.Flatten(), mr.Dense(2000)], (9, 30, 2)),
        ([mr.Dense(width // 2) for width in range(60, 4, -1)], (31,)),
    ],
)
def test_any_network_is_drawn_and_nothing_overlaps_or_leaves_the_figure(layers, input_shape):
    figure = mr.plots.architecture(mr.Network(layers, input_shape))
    figure.draw_without_rendering()
    (axes,) = figure.axes
    width, height = figure.canvas.get_width_height()
    boxes = [text.get_window_extent() for text in axes.texts if text.get_text()]
    assert all(box.x0 >= 0 and box.x1 <= width and box.y0 >= 0 and box.y1 <= height for box in boxes)
    assert not any(one.overlaps(other) for k, one in enumerate(boxes) for other in boxes[:k])
    solids = [patch.get_window_extent() for patch in axes.patches if hasattr(patch, "get_xy")]
    assert not any(solid.overlaps(box) for solid in solids for box in boxes)


def test_boxes_keep_the_proportions_of_images():
    def corners(patch):
        return np.ptp(patch.get_xy(), axis=0)

    wide = mr.plots.architecture(mr.Network([mr.MaxPool2D(2), mr.Flatten()], (8, 16, 1)))
    before, after = (corners(patch) for patch in wide.axes[0].patches[0:8:6] if hasattr(patch, "get_xy"))
    np.testing.assert_allclose(before, 2 * after)
    np.testing.assert_allclose(before[0], 2 * before[1])
