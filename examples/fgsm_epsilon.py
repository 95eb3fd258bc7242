"""Attack networks with FGSM over a range of ε, at several temperatures, and draw their robustness.

python examples/fgsm_epsilon.py
python examples/fgsm_epsilon.py --full --epochs 30 --temperatures 1/64 1/4 1 16

The curves are upper bounds: FGSM takes a single step, and a stronger attack fools more images.  The networks learn the
5,000 shipped digits, or all of MNIST with --full.
"""

import command_line  # first, so that Ctrl-C prints one sentence
from matplotlib.figure import Figure

import minirobust as mr
from data_loaders import load_mnist

options = command_line.options(
    __doc__,
    temperatures=(1 / 64, 1 / 4, 1.0, 16.0),
    epochs=20,
    epsilons=(0.0, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3),  # of the curves
    epsilon=0.1,  # of the images that are drawn
    samples=1000,  # the first test images
    full=False,
    backend="auto",
    seed=0,
    output="results",
)


def main():
    data = load_mnist(mini=not options.full)
    test = data.test[: options.samples]
    x, y = test.pixels(), test.labels

    print(f"{data.name}: robustness against FGSM on {len(y)} test images, after {options.epochs} epochs\n")
    print("temperature  " + "".join(f"{f'ε = {epsilon:g}':>11}" for epsilon in options.epsilons))
    networks, curves = {}, {}
    for temperature in options.temperatures:
        label = f"T = {mr.regimes.temperature_label(temperature)}"
        networks[label] = train(temperature, data)
        curves[label] = mr.robustness.epsilon_curve(networks[label], x, y, options.epsilons)
        print(f"{label:<13}" + "".join(f"{robustness:11.3f}" for robustness in curves[label]), flush=True)

    options.output.mkdir(parents=True, exist_ok=True)
    picture = options.output / "fgsm_epsilon.png"
    draw(picture, networks, curves, x, y)
    print(f"\npicture in {picture}")


def train(temperature, data):
    net = mr.models.mlp(temperature, backend=options.backend, seed=options.seed)
    mr.fit(net, mr.Adam(net, lr=1e-3), data, options.epochs, seed=options.seed)
    return net


def draw(path, networks, curves, x, y):
    """Draw the curves, and below them six digits with which FGSM fools the first network."""
    figure = Figure(figsize=(9, 9), layout="constrained")
    upper, lower = figure.subfigures(2, 1, height_ratios=(4, 5))
    mr.plots.robustness_over_epsilon(upper.subplots(), options.epsilons, curves)

    label, net = next(iter(networks.items()))
    to_numpy = net.backend.to_numpy
    attack = mr.attacks.fgsm(net, x, y, options.epsilon)
    fooled = (to_numpy(attack.clean_correct) & to_numpy(attack.fooled)).nonzero()[0]
    shown = fooled[:6] if len(fooled) else slice(6)
    images, adversarials = x[shown], to_numpy(attack.images)[shown]
    probabilities = (to_numpy(net.predict_proba(row)) for row in (images, adversarials))
    before, after = ([f"{p.argmax()} ({p.max():.0%})" for p in row] for row in probabilities)
    lower.suptitle(f"FGSM at ε = {options.epsilon:g}, {label}")
    mr.plots.adversarial_rows(lower.subplots(3, len(images), squeeze=False), images, adversarials, before, after)
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()
