# assignment: adam v1
"""Adam with decoupled weight decay, and the loop that trains a model with it. NumPy is all you need."""


class Adam:
    """The state of Adam for one array of parameters.

    `beta1` and `beta2` belong to the averages of the gradient and of its square. `decay` is the weight decay: each step
    also subtracts learning_rate * decay * value, with the value before the step.
    """

    def __init__(self, learning_rate, beta1, beta2, epsilon, decay):
        self.learning_rate = learning_rate
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.decay = decay

    def step(self, value, gradient):
        """Return the array `value` after one step of descent. Neither argument may change."""
        raise NotImplementedError


def train(model, value, x, y, orders, batch_size, learning_rate, decay):
    """Train a model with Adam (beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8), and return its value and the losses.

    `value` holds the model's parameters, and `model.loss_and_gradient(value, x, y)` returns the mean loss over a batch
    and its gradient. `x` holds the samples and `y` their labels. Each row of `orders` is one epoch: it lists the
    indices of all samples in the order in which they are used. Batches have `batch_size` samples; the last one of an
    epoch may be smaller.

    The losses are an array with one number for each epoch: the mean of the losses that training computed in it.
    """
    raise NotImplementedError
