"""Which networks count as evidence for a claim."""

import numpy as np
import pytest

from minirobust.study.claims.evidence import PAPER, paper_dataset, sweep
from minirobust.study.claims.sources import accuracy, fgsm, spread_of_classes
from minirobust.study.claims.verdict import CannotTellError


def test_a_network_near_chance_does_not_count_and_its_neighbours_become_the_ends(make):
    swept = sweep(make(accuracy=[0.1, 0.19, 0.21, 0.9, 0.9, 0.9, 0.9]))
    assert swept.temperatures == [0.5, 1, 2, 4, 8]
    assert swept.note == " Left out, because nothing was learned: T = 1/8, T = 1/4."
    assert swept.range(fgsm)[0] == [0.5, 1, 2, 4, 8]
    with pytest.raises(CannotTellError, match="This takes 5 temperatures, not 4."):
        sweep(make(accuracy=[0.1, 0.1, 0.1, 0.9, 0.9, 0.9, 0.9])).range(fgsm)
    assert len(sweep(make(accuracy=[0.1, 0.19, 0.21, 0.9, 0.9, 0.9, 0.9]), learning=True).temperatures) == 7


def test_at_least_half_of_the_temperatures_must_have_learned(make):
    assert len(sweep(make(accuracy=[0.1, 0.1, 0.1, 0.9, 0.9, 0.9, 0.9])).temperatures) == 4
    with pytest.raises(CannotTellError, match="Too few learned. Left out, because nothing was learned: T = 1/8, T = "):
        sweep(make(accuracy=[0.1, 0.1, 0.1, 0.1, 0.9, 0.9, 0.9]))


def test_of_several_seeds_those_that_learned_count(make, seeds):
    study = seeds(make(), make(accuracy=[0.1, *[0.9] * 6]))
    swept = sweep(study)
    assert swept.note == " Left out, because nothing was learned: T = 1/8, seed 1."
    scores = swept.scores(fgsm)
    assert [list(of) for of in scores.values()] == [[0], *[[0, 1]] * 6]


def test_temperatures_count_from_low_to_high_whatever_order_they_were_given_in(make):
    swept = sweep(make(temperatures=(4.0, 1.0, 8.0, 2.0, 0.5), robustness=[0.4, 0.31, 0.8, 0.5, 0.3]))
    assert swept.temperatures == [0.5, 1, 2, 4, 8]
    np.testing.assert_allclose([e.value for e in swept.estimates(fgsm).values()], [0.3, 0.31, 0.5, 0.4, 0.8])


def test_unfinished_tasks_do_not_count(make):
    some = (0.125, 0.5, 1.0, 2.0, 8.0)
    swept = sweep(make(done=some, begun=(0.25,)))
    assert (swept.temperatures, swept.unfinished) == (list(some), [0.25, 4])
    assert swept.note == " 5 of 7 temperatures are finished."
    with pytest.raises(CannotTellError, match="T = 8, an end of the range, is not finished. 6 of 7"):
        sweep(make(done=(0.125, 0.25, 0.5, 1.0, 2.0, 4.0))).range(fgsm)
    with pytest.raises(CannotTellError, match="0 of 7 temperatures are finished"):
        sweep(make(done=()))


def test_trained_but_not_yet_attacked_is_not_finished(make):
    study = make()
    study.records[0].final = {}
    assert sweep(study).unfinished == [0.125]


@pytest.mark.parametrize(("images", "said"), [(50, True), (49, False)])
def test_a_spread_over_classes_takes_fifty_images_of_each(make, images, said):
    assert (spread_of_classes(make(images=images).records[0], PAPER) is not None) == said


def test_the_accuracy_is_that_of_the_last_epoch(make):
    rising = np.broadcast_to(np.linspace(0.2, 0.9, 12)[:, None], (7, 12, 10))
    record = make(series={"class_accuracy": rising}).records[0]
    np.testing.assert_allclose(accuracy(record, PAPER).rates, 0.9)


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        ("mnist", "mnist"),
        ("fashion-mnist", "fashion-mnist"),
        ("/data/cifar10-25k.h5", "cifar10"),
        ("svhn-1083.h5", "svhn"),
        ("digits", None),
        ("colour-digits", None),
    ],
)
def test_part_of_a_data_set_is_recognized_by_its_name(make, dataset, expected):
    assert paper_dataset(make(dataset=dataset)) == expected
