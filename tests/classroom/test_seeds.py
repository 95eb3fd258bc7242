"""Seeds: grading again repeats the numbers, and any change draws new ones."""

from minirobust.classroom.seeds import digest, generator


def test_same_submission_gets_the_same_numbers():
    a, b = (generator(b"secret", "dense v1", digest(b"x"), "forward").random(5) for _ in range(2))
    assert (a == b).all()


def test_every_part_changes_the_numbers():
    part = (b"secret", "dense v1", digest(b"x"), "forward")
    others = [
        (b"other", *part[1:]),
        (part[0], "dense v2", *part[2:]),
        (*part[:2], digest(b"y"), part[3]),
        (*part[:3], "f"),
    ]
    numbers = [generator(*parts).random() for parts in (part, *others)]
    assert len(set(numbers)) == 5


def test_parts_of_the_seed_are_separated():
    assert generator(b"s", "a", "b", "c").random() != generator(b"s", "a", "bc", "").random()
