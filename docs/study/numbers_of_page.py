"""Where each number on the study's page, index.md, comes from.

`NUMBERS` has pieces of the page's text, with the results in braces, and what they are computed from::

    NUMBERS = {
        "falls from {0.801} at T = 1/64 to {0.012} at T = 16": [fgsm("mnist", 1 / 64), fgsm("mnist", 16)],
    }

`CONSTANTS` has pieces of text whose numbers are not results, such as the number of training images.
`python docs/study/check_numbers.py` compares both with the page, and names every number that is in neither.
"""

from stored import value

LAST = {"mnist": 100, "fashion-mnist": 100, "cifar10-50k": 50}  # the number of epochs


def fgsm(dataset, temperature, epsilon=0.1, **options):
    """Return network robustness against FGSM on all test images after the last epoch."""
    where = {"dataset": dataset, "temperature": temperature, "epoch": LAST[dataset], "epsilon": epsilon}
    return value("network_robustness", "robustness", attack="FGSM", **where, **options)


def audited(dataset, temperature, attack, epsilon=0.1, **options):
    """Return what an attack of the audit leaves, or what is proven with the attack "certificate"."""
    where = {"dataset": dataset, "temperature": temperature, "attack": attack, "epsilon": epsilon}
    return value("audit", "robustness", **where, **options)


def last(dataset, temperature, column, **options):
    """Return a column of the table of epochs after the last epoch, such as "test_accuracy" or "saturated"."""
    return value("epochs", column, dataset=dataset, temperature=temperature, epoch=LAST[dataset], **options)


NUMBERS = {}

CONSTANTS = []
