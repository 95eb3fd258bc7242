"""Change the temperature of a trained network, and see how robust it looks and how robust it is.

python examples/sharpen_after_training.py
python examples/sharpen_after_training.py --full --epochs 100 --temperature 1/64

A lower temperature makes the sigmoid steeper.  The units saturate, the gradient vanishes, and FGSM fails.  Stronger
attacks still succeed, and the certificate, a lower bound that no attack can break, falls.  The network learns the 5,000
shipped digits, or all of MNIST with --full.
"""

import command_line  # first, so that Ctrl-C prints one sentence
from matplotlib.figure import Figure

import minirobust as mr
from data_loaders import load_mnist
from minirobust import attacks, certify

options = command_line.options(
    __doc__,
    temperature=1.0,  # in training
    epochs=40,
    epsilons=(0.02, 0.1),
    samples=200,  # the first test images
    full=False,
    backend="auto",
    seed=0,
    output="results",
)

FACTORS = [4.0**k for k in range(-3, 4)]  # T'/T, from 1/64 to 64
COLUMNS = {"accuracy": "k:", "FGSM": "C1--", "strongest attack": "C3-", "certificate": "C0-"}  # with their line styles


def main():
    data = load_mnist(mini=not options.full)
    test = data.test[: options.samples]
    x, y = test.pixels(), test.labels
    label = f"T = {mr.regimes.temperature_label(options.temperature)}"
    print(f"{data.name}: {options.epochs} epochs at {label}, then {len(y)} test images at other temperatures T'\n")
    trained = mr.models.mlp(options.temperature, backend=options.backend, seed=options.seed)
    mr.fit(trained, mr.Adam(trained, lr=1e-3), data, options.epochs, seed=options.seed)

    networks = [at_temperature(trained, factor * options.temperature) for factor in FACTORS]
    tables = {}
    for epsilon in options.epsilons:
        print(f"{f'ε = {epsilon:g}':<12}{'saturated':>10}" + "".join(f"{name:>18}" for name in COLUMNS))
        tables[epsilon] = []
        for factor, network in zip(FACTORS, networks, strict=True):
            row = measure(network, x, y, epsilon)
            tables[epsilon].append(row)
            ratio = f"T'/T = {mr.regimes.temperature_label(factor)}"
            print(f"{ratio:<12}{saturated(network, x):>10}" + "".join(f"{rate:18.3f}" for rate in row), flush=True)
        print()

    options.output.mkdir(parents=True, exist_ok=True)
    picture = options.output / "sharpen_after_training.png"
    draw(picture, tables, f"{data.name}, trained at {label}")
    print(f"picture in {picture}")


def at_temperature(trained, temperature):
    """Return a copy with the same weights and another temperature."""
    network = trained.copy()
    for layer in network.layers:
        if isinstance(layer, mr.TemperatureSigmoid):
            layer.temperature = temperature
    return network


def measure(network, x, y, epsilon):
    """Return the rate for each column; the last two are the ends of the sandwich in which robustness lies."""
    fgsm = attacks.fgsm(network, x, y, epsilon)
    smoothed = attacks.annealed()  # a surrogate: saturation does not stop its gradient
    attempts = [
        fgsm,
        attacks.apgd(network, x, y, epsilon),
        attacks.apgd(network, x, y, epsilon, loss=mr.Margin(), target="all", steps=20),
        attacks.pgd(network, x, y, epsilon, gradients=smoothed),
        attacks.pgd(network, x, y, epsilon, loss=mr.Margin(), gradients=smoothed),
    ]
    proven = certify.alpha_crown(network, x, y, epsilon, steps=20).certified
    failures = ~fgsm.clean_correct, fgsm.fooled, mr.robustness.worst_case(attempts), ~proven
    return [mr.robustness.network_robustness(failed, y) for failed in failures]


def saturated(network, x):
    """Return the share of saturated units, or "undefined" at temperatures without regimes (r1 ≥ r2)."""
    try:
        fractions = mr.regimes.fractions(network.hidden(x), network.last_activation.temperature)
    except ValueError:
        return "undefined"
    return f"{fractions.saturated:.3f}"


def draw(path, tables, title):
    """Draw the columns over T'/T, with one panel per ε; robustness lies in the shaded band."""
    figure = Figure(figsize=(5 * len(tables), 4.4), layout="constrained")
    panels = figure.subplots(1, len(tables), sharey=True, squeeze=False)[0]
    for axes, (epsilon, rows) in zip(panels, tables.items(), strict=True):
        for name, style, rates in zip(COLUMNS, COLUMNS.values(), zip(*rows, strict=True), strict=True):
            axes.plot(FACTORS, rates, style, marker="o", markersize=4, label=name)
        _, _, attacked, certified = zip(*rows, strict=True)
        axes.fill_between(FACTORS, certified, attacked, color="C0", alpha=0.15, linewidth=0)
        axes.set_xscale("log", base=2)
        axes.set_xticks(FACTORS, [mr.regimes.temperature_label(factor) for factor in FACTORS])
        axes.set_title(f"ε = {epsilon:g}")
        axes.set_xlabel("temperature after training / temperature in training")
        axes.set_ylim(-0.02, 1.02)
    panels[0].set_ylabel("mean over classes")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(COLUMNS))
    figure.suptitle(title)
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()
