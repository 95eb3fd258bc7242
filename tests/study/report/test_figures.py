"""The study's figures show the stored numbers of every study that has any, in the right places."""

import io
import re

import numpy as np
import pytest
from synthetic_study import CLASSES, EPSILONS, TEMPERATURES, config, record, study

from minirobust.measures.regimes import bounds
from minirobust.study.report import audit_figures, class_figures, figures, training_figures
from minirobust.study.report.figures import FIGURES
from minirobust.study.report.selection import NothingStored
from minirobust.study.store import Study

PLACES = np.arange(len(TEMPERATURES)) / 10
LABELS = ["1/4", "1", "4"]
MADE_OF_EPOCHS = ("03-learning-curves", "04-regimes", "05-robustness", "06-epsilons")
MADE_OF_ATTACKS = ("07-ugly-images", "08-gradients", "09-pixel-attack", "10-two-pixels")
MADE_OF_AUDITS = ("11-audit", "12-sandwich", "13-sharpening")
NAMES = [f"figure-{name}" for name in ("02-sigmoids", *MADE_OF_EPOCHS, *MADE_OF_ATTACKS, *MADE_OF_AUDITS)]


@pytest.fixture
def done():
    return study(config())


def labels_of_x(axes):
    return [tick.get_text() for tick in axes.get_xticklabels()]


def test_the_figures_of_the_publication_and_three_more_are_there_in_order():
    assert list(FIGURES) == NAMES


def test_the_sigmoids_bend_where_they_should_and_have_dots_at_the_bounds(done):
    above, below = training_figures.sigmoids([done]).axes
    for T, line in zip(TEMPERATURES, above.lines, strict=True):
        net = line.get_xdata()
        np.testing.assert_allclose(line.get_ydata(), 1 / (1 + np.exp(-net / T)))
    dots = [(dot.get_offsets().data, dot.get_sizes()[0]) for dot in above.collections]
    for T, (small, small_size), (large, large_size) in zip(TEMPERATURES, dots[::2], dots[1::2], strict=True):
        r1, r2 = bounds(T)
        np.testing.assert_allclose(small, [(r, 1 / (1 + np.exp(-r / T))) for r in (-r1, r1)])
        np.testing.assert_allclose(large, [(r, 1 / (1 + np.exp(-r / T))) for r in (-r2, r2)])
        assert small_size < large_size
    assert [text.get_text() for text in above.get_legend().get_texts()] == LABELS
    linear, nonlinear, saturated = below.containers
    for row, T in enumerate(TEMPERATURES):
        r1, r2 = bounds(T)
        assert (linear[row].get_x() + linear[row].get_width(), nonlinear[row].get_x()) == pytest.approx((r1, r1))
        assert (nonlinear[row].get_x() + nonlinear[row].get_width(), saturated[row].get_x()) == pytest.approx((r2, r2))


def test_studies_with_other_thresholds_have_sigmoids_of_their_own(done):
    assert len(training_figures.sigmoids([done, study(config(temperatures=(1.0, 8.0)))]).axes) == 2
    other = training_figures.sigmoids([done, study(config(delta1=0.1))])
    assert {"regimes at δ1 = 0.05, δ2 = 0.0005", "regimes at δ1 = 0.1, δ2 = 0.0005"} < {
        axes.get_title() for axes in other.axes
    }


def test_learning_curves_are_the_test_accuracies_of_each_study(done):
    cut_short = study(config(dataset="svhn"), epochs=1, temperatures=(4.0,))
    left, right = training_figures.learning_curves([done, cut_short]).axes
    assert (left.get_title(), right.get_title()) == ("MNIST", "SVHN")
    for place, line in zip(PLACES, left.lines, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), [1, 2])
        np.testing.assert_allclose(line.get_ydata(), [0.5 + place, 0.6 + place])
    assert [line.get_label() for line in left.lines] == ["T = 1/4", "T = 1", "T = 4"]
    (begun,) = right.lines
    assert begun.get_label() == "T = 4"
    np.testing.assert_allclose(begun.get_ydata(), [0.7, np.nan])
    low, high = left.get_ylim()
    assert low <= 0.5
    assert high >= 1


def test_of_many_temperatures_five_are_selected_ends_included():
    many = study(config(temperatures=tuple(2.0**k for k in range(-6, 5))))
    (axes,) = training_figures.learning_curves([many]).axes
    assert [line.get_label() for line in axes.lines] == ["T = 1/64", "T = 1/16", "T = 1/2", "T = 4", "T = 16"]


def test_the_regimes_stand_on_each_other_in_a_column_for_each_temperature(done):
    (axes,) = training_figures.operation_in_regimes([done]).axes
    linear, nonlinear, saturated = (axes.patches[i : i + 3] for i in (0, 3, 6))
    for column, place in enumerate(PLACES):
        (low, mid, high) = (areas[column].get_data() for areas in (linear, nonlinear, saturated))
        np.testing.assert_allclose(low.values, [0.1 + place] * 2)
        np.testing.assert_allclose(mid.values - mid.baseline, [0.3, 0.2])
        np.testing.assert_allclose(high.values - high.baseline, [0.6 - place, 0.7 - place])
        np.testing.assert_allclose(high.values, [1, 1])
        assert column - 0.5 < low.edges[0] < column - 0.4
        assert column + 0.4 < low.edges[-1] < column + 0.5
        assert low.edges[1] == pytest.approx(column)
    assert labels_of_x(axes) == LABELS
    assert len({areas[0].get_facecolor() for areas in (linear, nonlinear, saturated)}) == 3
    (legend,) = axes.figure.legends
    named = {
        text.get_text(): patch.get_facecolor() for text, patch in zip(legend.texts, legend.get_patches(), strict=True)
    }
    assert list(named) == ["saturated", "nonlinear", "linear"]
    assert named["linear"] == linear[0].get_facecolor()
    assert "epochs 1 to 2" in axes.get_xlabel()


def test_robustness_over_epochs_is_the_mean_over_classes_at_the_main_epsilon():
    changed = study(config(epsilon=0.2))
    changed.records[0].epochs["robustness"][:, :, 1] = np.nan  # a class without a sample
    (axes,) = training_figures.robustness_during_training([changed]).axes
    assert axes.get_title() == "MNIST, ε = 0.2"
    areas, lines = axes.patches[::2], axes.patches[1::2]
    for place, area, line in zip(PLACES, areas, lines, strict=True):
        np.testing.assert_allclose(area.get_data().values, [0.21 - place, 0.26 - place])
        np.testing.assert_allclose(line.get_data().values, [0.71 + place, 0.81 + place])


def test_every_epsilon_has_a_line_in_every_column(done):
    (axes,) = training_figures.robustness_at_every_epsilon([done]).axes
    lines = iter(axes.patches)
    for epsilon in EPSILONS:
        for column, place in enumerate(PLACES):
            data = next(lines).get_data()
            np.testing.assert_allclose(data.values, np.array([0.41, 0.46]) - place - epsilon)
            assert data.baseline is None  # a line, no area
            assert data.edges.mean() == pytest.approx(column)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["ε = 0.1", "ε = 0.2"]


def test_missing_epochs_are_left_empty():
    begun = study(config(), epochs=1, temperatures=(1.0,), attacked=False, audited=False)
    (axes,) = training_figures.robustness_during_training([begun]).axes
    np.testing.assert_allclose(axes.patches[2].get_data().values, [0.21, np.nan])
    assert np.isnan(axes.patches[0].get_data().values).all()
    assert labels_of_x(axes) == LABELS


def test_several_epsilons_are_shown_of_fashion_mnist_alone_where_it_is_there(done):
    fashion = study(config(dataset="fashion-mnist"))
    assert [axes.get_title() for axes in training_figures.robustness_at_every_epsilon([done, fashion]).axes] == [
        "Fashion-MNIST"
    ]
    not_begun = study(config(dataset="fashion-mnist"), temperatures=())
    assert [axes.get_title() for axes in training_figures.robustness_at_every_epsilon([done, not_begun]).axes] == [
        "MNIST"
    ]


def test_ugly_images_show_label_and_prediction(done):
    (part,) = class_figures.ugly_images([done]).subfigs
    assert part.get_suptitle() == "MNIST, T = 1"
    assert len(part.axes) == 10
    final = done.records[1].final
    for axes, index, image in zip(part.axes, range(11, 1, -1), final["ugly/image"], strict=True):
        np.testing.assert_allclose(axes.images[0].get_array(), image[..., 0] / 255)
        assert axes.get_title() == f"{index % CLASSES} → {index % 2}"


def test_without_temperature_1_the_nearest_is_shown():
    far = study(config(temperatures=(0.125, 2.0, 16.0)))
    for draw in (class_figures.ugly_images, class_figures.two_pixel_adversarials):
        (part,) = draw([far]).subfigs
        assert part.get_suptitle() == "MNIST, T = 2"
    unfinished = study(config(temperatures=(0.125, 2.0, 16.0)), temperatures=(16.0,))
    (part,) = class_figures.ugly_images([unfinished]).subfigs
    assert part.get_suptitle() == "MNIST, T = 16"


def maps(figure):
    """The axes that hold a map, not those of colour bars."""
    return [axes for axes in figure.axes if axes.get_xlabel() == "temperature T"]


def test_classes_are_called_by_their_names():
    ten = study(config(dataset="fashion-mnist"))
    for made in ten.records:
        for name in ("gradient_median", "correlation", "p_value"):
            made.final[name] = np.resize(made.final[name], 10)
        for name in ("pixel_success", "pixel_success_of_correct"):
            made.final[name] = np.resize(made.final[name], (2, 10))
        made.epochs["class_accuracy"] = np.full((2, 10), 0.9)
    medians, _ = maps(class_figures.gradients_by_class([ten]))
    labels = [tick.get_text() for tick in medians.get_yticklabels()]
    assert (labels[0], labels[-1]) == ("T-shirt/top", "Ankle boot")
    (part,) = class_figures.ugly_images([ten]).subfigs
    assert part.axes[0].get_title() == "Pullover →\nTrouser"
    (pairs,) = class_figures.two_pixel_adversarials([ten]).subfigs
    assert pairs.axes[0].get_title().startswith("Trouser\n(")
    for figure in (class_figures.ugly_images([ten]), class_figures.two_pixel_adversarials([ten])):
        figure.draw_without_rendering()
        boxes = [axes.title.get_window_extent() for axes in figure.subfigs[0].axes]
        assert not any(one.overlaps(other) for k, one in enumerate(boxes) for other in boxes[:k])
    unknown = study(config(dataset="own.h5"))
    assert [tick.get_text() for tick in maps(class_figures.gradients_by_class([unknown]))[0].get_yticklabels()] == [
        *"012"
    ]


@pytest.fixture
def with_a_dull_network():
    """At T = 1/4 nothing was learned."""
    made = study(config())
    made.records[0].epochs["class_accuracy"][-1] = 0.5
    return made


def test_networks_that_learned_nothing_are_marked_and_not_drawn_as_results(with_a_dull_network):
    for name in ("04-regimes", "05-robustness", "06-epsilons", "08-gradients", "09-pixel-attack", "11-audit"):
        figure = FIGURES[f"figure-{name}"]([with_a_dull_network])
        for axes in figure.axes:
            if axes.get_xlabel().startswith("temperature T"):
                (mark,) = (text for text in axes.texts if text.get_text() == "learned nothing")
                assert mark.get_position()[0] == 0
    (axes,) = training_figures.robustness_during_training([with_a_dull_network]).axes
    areas = [patch.get_data().values for patch in axes.patches if hasattr(patch, "get_data")]
    assert [bool(np.isnan(values).all()) for values in areas] == [True, True, False, False, False, False]
    medians, _ = maps(class_figures.gradients_by_class([with_a_dull_network]))
    assert np.ma.getmaskarray(medians.images[0].get_array())[:, 0].all()
    (curves,) = training_figures.learning_curves([with_a_dull_network]).axes
    assert [line.get_label() for line in curves.lines] == ["T = 1/4, learned nothing", "T = 1", "T = 4"]


@pytest.mark.parametrize("name", [name for name in NAMES if name[7:9] not in ("02", "03")])
def test_a_study_that_learned_nothing_at_all_is_marked_or_left_out(name):
    made = study(config())
    for one in made.records:
        one.epochs["class_accuracy"][-1] = 0.5
    try:
        figure = figures.drawn(name, [made])
    except NothingStored:
        return
    marks = [text for axes in figure.axes for text in axes.texts if text.get_text() == "learned nothing"]
    assert len(marks) % 3 == 0
    assert marks


def test_images_are_those_of_a_network_that_learned():
    made = study(config())
    made.records[1].epochs["class_accuracy"][-1] = 0.5  # T = 1
    (part,) = class_figures.ugly_images([made]).subfigs
    assert part.get_suptitle() in ("MNIST, T = 1/4", "MNIST, T = 4")


def test_a_seed_that_learned_nothing_is_left_out_with_a_star():
    two = study(config(seeds=(0, 1)))
    two.records[0].epochs["class_accuracy"][-1] = 0.5
    (axes,) = training_figures.operation_in_regimes([two]).axes
    assert labels_of_x(axes) == ["1/4*", "1", "4"]
    np.testing.assert_allclose(axes.patches[0].get_data().values, [0.11] * 2)


def test_medians_and_correlations_are_maps_of_class_by_temperature(done):
    medians, correlations = maps(class_figures.gradients_by_class([done]))
    expected = 10.0 ** -(3 + np.arange(CLASSES))[:, None] * (1 + 10 * PLACES)
    np.testing.assert_allclose(medians.images[0].get_array(), expected)
    assert medians.images[0].get_clim() == (0, 0.0002)  # what the paper prints for MNIST
    assert "0 to 0.0002" in medians.get_title()
    assert medians.texts[0].get_text() == "1e−03"
    np.testing.assert_allclose(correlations.images[0].get_array(), -0.9 + PLACES + np.arange(CLASSES)[:, None] / 100)
    assert correlations.images[0].get_clim() == (-1, 1)
    assert labels_of_x(correlations) == LABELS
    assert "p ≥ .001" in correlations.get_title()


def test_only_what_is_not_significant_has_a_cut_corner(done):
    _, correlations = maps(class_figures.gradients_by_class([done]))
    (marks,) = correlations.collections
    (corner,) = (path.vertices for path in marks.get_paths())
    # Class 1 at the last temperature: within that cell, in its upper right corner.
    assert corner[:, 0].min() > 2
    assert corner[:, 0].max() == 2.5
    assert corner[:, 1].min() == 0.5
    assert corner[:, 1].max() < 1


def test_a_correlation_that_one_seed_calls_insignificant_has_a_cut_corner():
    two = study(config(seeds=(0, 1)))
    two.records[0].final["p_value"] = np.array([0, 0, 0.5])
    two.records[3].final["p_value"] = np.array([0.001, 0, np.nan])
    _, correlations = maps(class_figures.gradients_by_class([two]))
    corners = {
        tuple(path.vertices.mean(axis=0).round().astype(int)) for path in correlations.collections[0].get_paths()
    }
    assert corners == {(0, 0), (0, 2), (2, 1)}


def test_pixel_success_is_a_map_for_each_number_of_pixels_in_percent(done):
    one, two = maps(class_figures.pixel_attack_success([done]))
    for pixels, axes in ((1, one), (2, two)):
        expected = 100 * (0.1 * pixels + PLACES + np.arange(CLASSES)[:, None] / 100)
        np.testing.assert_allclose(axes.images[0].get_array(), expected)
        assert axes.images[0].get_clim() == pytest.approx((0, 42))
    assert (one.get_title(), two.get_title()) == ("MNIST: 1 pixel", "MNIST: up to 2 pixels")
    assert one.texts[0].get_text() == "10"


def test_studies_of_fewer_pixels_and_temperatures_leave_no_empty_map(done):
    other = study(config(dataset="svhn", pixels=1, temperatures=(1.0, 4.0)))
    titles = [axes.get_title() for axes in maps(class_figures.pixel_attack_success([done, other]))]
    assert titles == ["MNIST: 1 pixel", "MNIST: up to 2 pixels", "SVHN: 1 pixel"]


def test_two_pixel_adversarials_stand_below_their_images_with_confidences_and_circles(done):
    (part,) = class_figures.two_pixel_adversarials([done]).subfigs
    upper, lower = part.axes[:5], part.axes[5:]
    final = done.records[1].final
    for column, index in enumerate(range(11, 6, -1)):
        np.testing.assert_allclose(upper[column].images[0].get_array(), final["two/image"][column, ..., 0] / 255)
        np.testing.assert_allclose(lower[column].images[0].get_array(), final["two/adversarial"][column, ..., 0] / 255)
        assert upper[column].get_title() == f"{(index - 1) % CLASSES} ({50 + index:.1f}%)"
        assert lower[column].get_title() == f"{(index + 1) % CLASSES} ({80 + index:.1f}%)"
        (circles,) = lower[column].collections
        np.testing.assert_array_equal(circles.get_offsets(), [(p % 4, p // 4) for p in (index, 15 - index)])


def test_fewer_images_than_places_leave_no_empty_axes(done):
    final = done.records[1].final
    for name in ("two/shown", "two/image", "two/adversarial", "ugly/index", "ugly/image"):
        final[name] = final[name][:3]
    (pairs,) = class_figures.two_pixel_adversarials([done]).subfigs
    (ugly,) = class_figures.ugly_images([done]).subfigs
    assert (len(pairs.axes), len(ugly.axes)) == (6, 3)


def test_the_audit_is_drawn_with_its_intervals(done):
    (axes,) = audit_figures.robustness_under_audit([done]).axes
    drawn = {bars.get_label(): bars for bars in axes.containers}
    for name, label in (("FGSM", "FGSM"), ("PGD", "PGD"), ("worst case", "worst case"), ("clean", "no attack")):
        value = np.array([record.audit["robustness"][name]["value"] for record in done.records])
        line, _, (bar,) = drawn[label]
        np.testing.assert_allclose(line.get_ydata(), value)
        ends = np.array([segment[:, 1] for segment in bar.get_segments()])
        np.testing.assert_allclose(ends, np.stack([value - 0.02, value + 0.03], axis=1))
        assert (np.abs(line.get_xdata() - np.arange(3)) < 0.5).all()
    assert set(drawn) == {"no attack", "FGSM", "PGD", "transfer", "Square", "worst case", "any single pixel"}
    assert labels_of_x(axes) == LABELS


def test_an_audit_that_is_missing_or_lacks_an_attack_is_a_gap():
    some = study(config(seeds=(0, 1)))
    del some.records[1].audit["robustness"]["transfer"]
    some.records[0].audit = None
    rates = audit_figures.audited_robustness(some, "transfer")
    np.testing.assert_allclose(rates[:, 0], [0.4 - 0.005, 0.4 - 0.05 - 0.005, 0.4 - 0.1 - 0.0025])
    some.records[3].audit = None
    assert np.isnan(audit_figures.audited_robustness(some, "transfer")[0]).all()
    audit_figures.robustness_under_audit([some])


def test_the_sandwich_lies_between_proof_and_strongest_attack(done):
    (axes,) = audit_figures.sandwich_over_epsilon([done]).axes
    assert axes.get_title() == "MNIST"
    upper, weak, lower = axes.lines[:3]
    np.testing.assert_array_equal(upper.get_xdata(), [0.05, 0.1])
    np.testing.assert_allclose(upper.get_ydata(), [2 / 3, 1 / 3])  # 0, 1, 2, 3 of six images, then 0, 1
    np.testing.assert_allclose(lower.get_ydata(), [1 / 3, 0])
    np.testing.assert_allclose(weak.get_ydata(), [5 / 6, 4 / 6])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        *("T = 1/4", "T = 1", "T = 4"),
        *("proven", "left by FGSM"),
    ]
    corners = {tuple(corner) for corner in axes.collections[0].get_paths()[0].vertices.round(9)}
    assert {(0.05, round(2 / 3, 9)), (0.05, round(1 / 3, 9)), (0.1, round(1 / 3, 9)), (0.1, 0)} <= corners


def test_a_sandwich_without_a_certificate_reaches_down_to_0(done):
    for made in done.records:
        del made.audited["sandwich/certified"]
    (axes,) = audit_figures.sandwich_over_epsilon([done]).axes
    assert len(axes.lines) == 2 * 3 + 2
    assert axes.collections[0].get_paths()[0].vertices[:, 1].min() == 0


def test_temperature_at_test_time_is_drawn_at_the_least_and_the_main_epsilon(done):
    figure = audit_figures.temperature_at_test_time([done])
    upper, lower = figure.axes[:3], figure.axes[3:]
    assert [axes.get_title() for axes in (upper[0], lower[2])] == [
        "MNIST, ε = 0.05\ntrained at T = 1/4",
        "MNIST, ε = 0.1\ntrained at T = 4",
    ]
    drawn = {line.get_label(): line.get_ydata() for line in lower[1].lines}
    np.testing.assert_allclose(drawn["accuracy"], [5 / 6] * 3)
    np.testing.assert_allclose(drawn["left by FGSM"], [1, 4 / 6, 4 / 6])
    np.testing.assert_allclose(drawn["left by the strongest attack"], [2 / 6] * 3)
    np.testing.assert_allclose(drawn["proven"], [0] * 3)
    assert lower[1].get_xscale() == "log"


@pytest.fixture
def three():
    """Three seeds at T = 1, with quantities of 0.2, 0.8 and 0.3 where a figure shows the median and the range."""
    made = study(config(seeds=(0, 1, 2), temperatures=(1.0,)))
    for one, value in zip(made.records, (0.2, 0.8, 0.3), strict=True):
        one.epochs["test_accuracy"][:] = one.epochs["robustness"][:] = value
        one.final["correlation"][:] = one.final["pixel_success"][:] = value
        one.audit["robustness"]["PGD"]["value"] = value
        one.sharpened["correct"][:] = np.arange(6) < 6 * value - 0.5  # one, five and two of six images
    return made


def test_several_seeds_are_a_median_with_their_range(three):
    (axes,) = training_figures.learning_curves([three]).axes
    assert axes.get_title() == "MNIST, median and range of 3 seeds"
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [0.3, 0.3])
    heights = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (0.2, 0.8)

    area, band = training_figures.robustness_during_training([three]).axes[0].patches[:2]
    np.testing.assert_allclose(area.get_data().values, [0.3, 0.3])
    np.testing.assert_allclose(band.get_data().values, [0.8, 0.8])
    np.testing.assert_allclose(band.get_data().baseline, [0.2, 0.2])

    np.testing.assert_allclose(audit_figures.audited_robustness(three, "PGD"), [[0.3, 0.2, 0.8]])

    panel = audit_figures.temperature_at_test_time([three]).axes[0]
    np.testing.assert_allclose(panel.lines[0].get_ydata(), [2 / 6] * 3)
    ends = np.array([segment[:, 1] for segment in panel.collections[0].get_segments()])
    np.testing.assert_allclose(ends, [[1 / 6, 5 / 6]] * 3)


def test_maps_have_the_median_of_several_seeds(three):
    for name in ("figure-08-gradients", "figure-09-pixel-attack"):
        maps = [axes for axes in FIGURES[name]([three]).axes if axes.images]
        assert maps[-1].get_title().startswith("MNIST, median of 3 seeds: ")
        scale = 100 if name == "figure-09-pixel-attack" else 1
        np.testing.assert_allclose(maps[-1].images[0].get_array(), np.full((3, 1), 0.3 * scale))


def test_a_study_in_which_little_was_learned_is_not_drawn(done):
    dull = study(config(dataset="svhn"))
    for one in dull.records[:2]:
        one.epochs["class_accuracy"][-1] = 1 / 3
    for name in NAMES[1:]:
        with pytest.raises(NothingStored, match="there is none in SVHN, where too few networks learned"):
            FIGURES[name]([dull])
        assert FIGURES[name]([done, dull]).get_suptitle().startswith("MNIST: ")
    assert FIGURES[NAMES[0]]([dull])  # the sigmoids are no result


def test_pictures_have_200_dots_per_inch(done):
    png = figures.render(training_figures.learning_curves([done]), "png")
    assert png.startswith(b"\x89PNG")
    width = int.from_bytes(png[16:20], "big")
    assert width == 200 * 5.2


@pytest.mark.parametrize("name", NAMES[1:])
@pytest.mark.parametrize("studies", [[], [study(config(), temperatures=())]])
def test_figures_without_results_are_not_drawn(name, studies):
    with pytest.raises(NothingStored, match="it needs .* there is none in (MNIST|nothing)"):
        FIGURES[name](studies)


def test_drawable_figures_are_written_and_the_others_explained(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "render", lambda figure, form: form.encode())
    told = []
    begun = study(config(), epochs=1, attacked=False, audited=False)
    paths = figures.draw([begun], tmp_path / "new", told.append)
    assert paths == [
        tmp_path / "new" / f"{name}.{form}"
        for name in NAMES[:1] + [f"figure-{name}" for name in MADE_OF_EPOCHS]
        for form in ("png", "svg")
    ]
    assert sorted(paths) == sorted((tmp_path / "new").iterdir())  # and no temporary file
    assert all(path.suffix == f".{path.read_text()}" for path in paths)
    assert [line.split()[0] for line in told] == [f"figure-{name}" for name in (*MADE_OF_ATTACKS, *MADE_OF_AUDITS)]
    assert "attacked" in told[0]
    assert "audit" in told[-3]


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_of_unlike_studies_is_drawn_and_fetches_nothing(name):
    several = [
        study(config(dataset="somewhere/own & <data>.h5", pixels=1, temperatures=(2.0,), epochs=1), epochs=1),
        study(config(dataset="svhn", seeds=(0, 1)), audited=False),
    ]
    svg = figures.render(figures.drawn(name, several), "svg").decode()
    assert len(svg) < 300_000
    assert not re.search(r'(href|src)="(?!#|data:)', svg)
    assert "<script" not in svg


@pytest.mark.parametrize(("name", "form"), [("figure-03-learning-curves", "png"), ("figure-08-gradients", "svg")])
def test_a_figure_drawn_twice_is_the_same_file_without_a_date(done, name, form):
    once, again = (figures.render(FIGURES[name]([done]), form) for _ in range(2))
    assert once == again
    assert b"<dc:date>" not in once
    assert b"Matplotlib" not in once


def test_a_figure_that_cannot_be_written_leaves_the_old_one_whole(tmp_path, done, monkeypatch):
    monkeypatch.setattr(figures, "render", lambda figure, form: b"old")
    old = figures.draw([Study(done.config, [])], tmp_path, lambda line: None)
    before = [path.read_bytes() for path in old]

    def full_disk(figure, form):
        raise OSError("no space left on device")

    monkeypatch.setattr(figures, "render", full_disk)
    with pytest.raises(OSError, match="no space"):
        figures.draw([done], tmp_path)
    assert [path.read_bytes() for path in old] == before
    assert not list(tmp_path.glob(".*"))


def test_an_svg_is_made_smaller_without_moving_anything():
    svg = b"""<svg>
      <path d="M 1.234567 -20.5
L 0.005 3 C 1.999999 2.125 7 7 7 7"/>
      <text x="1.234567" transform="rotate(-0 1.234567 2)">0.12345</text>
      <text transform="rotate(-90 1.234567 2)">r</text>
"""
    assert (
        figures._compact(svg)
        == b"""<svg>
<path d="M 1.23 -20.5
L 0.00 3 C 1.99 2.12 7 7 7 7"/>
<text x="1.234567">0.12345</text>
<text transform="rotate(-90 1.234567 2)">r</text>
"""
    )


def test_a_png_with_a_palette_has_the_colours_of_the_figure(done):
    from matplotlib.image import imread

    figure = training_figures.robustness_during_training([done])
    exact = io.BytesIO()
    figure.savefig(exact, format="png", dpi=figures.DOTS)
    exact.seek(0)
    found, expected = imread(io.BytesIO(figures.render(figure, "png"))), imread(exact)
    assert np.abs(found[..., :3] - expected[..., :3]).max() < 0.06
    assert len(figures.render(figure, "png")) < len(exact.getvalue())


def test_text_of_an_svg_is_text(done):
    svg = figures.render(training_figures.learning_curves([done]), "svg").decode()
    assert svg.startswith("<?xml")
    assert ">test accuracy<" in svg
    assert ">T = 1/4<" in svg


def test_one_record_alone_is_enough_for_every_figure_and_its_title_names_the_data_set():
    single = config(temperatures=(1.0,), epochs=1)
    lonely = Study(single, [record(single, 1.0, 0, epochs=1)])
    for draw in FIGURES.values():
        assert draw([lonely]).get_suptitle().startswith("MNIST: ")


def test_dollar_sign_in_a_name_does_not_start_a_formula():
    dollars = study(config(dataset=r"$\frac$.h5"))
    assert rb"$\frac$" in figures.render(figures.drawn("figure-03-learning-curves", [dollars]), "svg")
