"""Train the study's convolutional network on CIFAR-10, measure it after every epoch, attack it, and draw the results.

python examples/cifar10_cnn.py
python examples/cifar10_cnn.py --data my-images.h5 --temperature 1/4 --epochs 20

`--data` takes a file in the project's HDF5 format.  Without it, the network learns CIFAR-10, or coloured digits if
CIFAR-10 is not available.
"""

import command_line  # first, so that Ctrl-C prints one sentence
from matplotlib.figure import Figure

import minirobust as mr
from data_loaders import DataNotFoundError, load_cifar10, load_colour_digits, load_hdf5

options = command_line.options(
    __doc__,
    temperature=0.25,
    epochs=5,
    epsilon=0.1,  # of FGSM
    samples=1000,  # the first test images; attacking all of CIFAR-10 takes longer than an epoch
    data=None,
    backend="auto",
    seed=0,
    output="results",
)


def main():
    data = load_images(options.data)
    test = data.test[: options.samples]
    x, y = test.pixels(), test.labels

    net = mr.models.cnn(
        options.temperature,
        data.train.images.shape[1:],
        classes=len(data.class_names),
        backend=options.backend,
        seed=options.seed,
    )
    optimizer = mr.Adam(net, lr=1e-3)
    print(f"{data.name}: {len(data.train)} training images, evaluated on {len(test)} test images, on {net.backend}")
    r1, r2 = mr.regimes.bounds(options.temperature)
    print(f"{net.summary()}\na sigmoid is linear for |net| ≤ {r1:.4g}, saturated for |net| ≥ {r2:.4g}\n")

    options.output.mkdir(parents=True, exist_ok=True)
    saved = options.output / "cifar10_cnn.h5"
    history = []
    for record in mr.epochs(net, optimizer, data, options.epochs, seed=options.seed, checkpoint=saved, progress=True):
        regimes = mr.regimes.fractions(net.hidden(x), options.temperature)
        attack = mr.attacks.fgsm(net, x, y, options.epsilon)
        accuracy = float(net.backend.to_numpy(attack.clean_correct).mean())
        robustness = mr.robustness.network_robustness(attack.fooled, y, len(data.class_names))
        history.append({"loss": record.loss, "accuracy": accuracy, "robustness": robustness, **regimes._asdict()})
        print(
            f"epoch {record.epoch:3}  loss {record.loss:.4f}  test accuracy {accuracy:.4f}  "
            f"linear {regimes.linear:.3f}  nonlinear {regimes.nonlinear:.3f}  saturated {regimes.saturated:.3f}  "
            f"FGSM robustness {robustness:.4f}",
            flush=True,
        )

    print(f"\nrobustness against FGSM at epsilon = {options.epsilon:g}")
    for name, share in zip(
        data.class_names, mr.robustness.by_class(attack.fooled, y, len(data.class_names)), strict=True
    ):
        print(f"  {name:<10}  {share:6.3f}")
    print(f"  {'network':<10}  {robustness:6.3f}")

    picture = options.output / "cifar10_cnn.png"
    title = f"{data.name}, T = {options.temperature:g}, ε = {options.epsilon:g}"
    draw(picture, net, x, attack, history, data.class_names, title)
    print(f"\nsaved the network in {saved} and the picture in {picture}")


def draw(path, net, x, attack, history, names, title):
    """Draw eight correctly classified images that are misclassified after the attack, and the training curves."""
    to_numpy = net.backend.to_numpy
    fooled = (to_numpy(attack.clean_correct) & to_numpy(attack.fooled)).nonzero()[0]
    shown = fooled[:8] if len(fooled) else slice(8)
    images, adversarials = x[shown], to_numpy(attack.images)[shown]
    probabilities = (to_numpy(net.predict_proba(row)) for row in (images, adversarials))
    before, after = ([f"{names[p.argmax()]} ({p.max():.0%})" for p in row] for row in probabilities)
    figure = Figure(figsize=(11, 9))
    mr.plots.training_story(figure, history, images, adversarials, before, after, title)
    figure.savefig(path, dpi=100)


def load_images(path):
    """Return the images of a file in the project's format, else CIFAR-10, else the coloured digits."""
    if path is not None and path.is_file():
        return load_hdf5(path)
    try:
        return load_cifar10(path)
    except DataNotFoundError:
        if path is not None:
            raise
        print("CIFAR-10 was not found and could not be downloaded: training on coloured digits instead")
        return load_colour_digits()


if __name__ == "__main__":
    main()
