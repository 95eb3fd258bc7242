"""Train a network on adversarial images in a custom loop, and compare its audit with that of a plainly trained network.

python examples/adversarial_training.py
python examples/adversarial_training.py --full --epochs 5

Before every step, PGD attacks the batch, and the network learns from the adversarial images (Madry et al., 2018).  The
audit tells whether the network has become robust or only hides its gradient.  The networks learn the 5,000 shipped
digits, or all of MNIST with --full.
"""

import command_line  # first, so that Ctrl-C prints one sentence

import minirobust as mr
from data_loaders import load_mnist

options = command_line.options(
    __doc__,
    temperature=1.0,
    epochs=15,
    epsilon=0.1,  # in training and in the audit
    samples=500,  # the first test images, which are audited
    full=False,
    backend="auto",
    seed=0,
)

STEPS = 5  # of PGD in training; the audit uses more
BATCH_SIZE = 64
LEARNING_RATE = 2e-3


def main():
    data = load_mnist(mini=not options.full)
    test = data.test[: options.samples]
    x, y = test.pixels(), test.labels
    print(f"{data.name}: {len(data.train)} images, {options.epochs} epochs, audited on {len(test)} test images")

    plain, robust = (mr.models.mlp(options.temperature, backend=options.backend, seed=options.seed) for _ in range(2))
    mr.fit(plain, mr.Adam(plain, lr=LEARNING_RATE), data, options.epochs, batch_size=BATCH_SIZE, seed=options.seed)
    print("\nadversarial training")
    train_adversarially(robust, data)

    print(f"\n{'trained':<15}{'clean accuracy':>15}{f'worst case at ε = {options.epsilon:g}':>25}")
    reports = {}
    for name, network, other in (("plainly", plain, robust), ("adversarially", robust, plain)):
        # The other network is a source of transfer attacks, which work even if the gradient is hidden.
        report = mr.audit(network, x, y, options.epsilon, [other], "quick", seed=options.seed)
        reports[name] = report
        clean, worst = (report.robustness[key].value for key in ("clean", "worst case"))
        print(f"{name:<15}{clean:>15.3f}{worst:>25.3f}", flush=True)
    print()
    for name, report in reports.items():
        print(f"trained {name}: {report.verdict}")


def train_adversarially(network, data):
    """Train like `mr.fit`, but on the images that PGD returns for each batch."""
    optimizer = mr.Adam(network, lr=LEARNING_RATE)
    loss = mr.SoftmaxCrossEntropy()
    network.training = True  # for layers that behave differently in training, such as Dropout
    for epoch in range(1, options.epochs + 1):
        for x, y in mr.batches(network, data, BATCH_SIZE, options.seed, epoch):
            x = mr.attacks.pgd(network, x, y, options.epsilon, steps=STEPS, starts=1).images
            logits = network.forward(x)
            value, gradient = loss.value_and_gradient(logits, y)
            network.backward(gradient / len(x), input_gradient=False)
            optimizer.step()
        print(f"epoch {epoch:3}  loss of the last batch {float(value.mean()):.4f}", flush=True)
    network.training = False


if __name__ == "__main__":
    main()
