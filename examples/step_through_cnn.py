"""Step through a convolution, a sigmoid and a pooling layer in a debugger, on two tiny images.

python -m pdb examples/step_through_cnn.py
(Pdb) break 40
(Pdb) continue
(Pdb) step              repeat this: it goes through `Network.backward` into each layer, from the last to the first
(Pdb) p winner[..., 0]  in `max_pool_gradient`: the position of each maximum in its window; the gradient goes there
(Pdb) p columns         in `conv2d_...`: one row per patch of both images; on these rows a convolution is a dense layer
(Pdb) p self.x[..., 0]  the input that a layer stored in its forward pass, without the channel axis

To step through the forward pass, break at line 37, continue, break mr.Conv2D.forward, continue, and step from there.
"""

import command_line  # first, so that Ctrl-C prints one sentence
import numpy as np

import minirobust as mr

command_line.options(__doc__)  # only --help

np.set_printoptions(precision=4, suppress=True, linewidth=120)

# A vertical and a horizontal stroke; the last axis is the only channel.
x = np.zeros((2, 5, 5, 1))
x[0, :, 2, 0] = [0.6, 0.9, 1.0, 0.8, 0.7]
x[1, 2, :, 0] = [0.7, 0.8, 1.0, 0.9, 0.6]
y = np.array([0, 1])

net = mr.Network(
    [mr.Conv2D(1, 2), mr.TemperatureSigmoid(0.5), mr.MaxPool2D(2), mr.Flatten(), mr.Dense(2)],
    input_shape=(5, 5, 1),
    dtype="float64",
    seed=1,
)
loss = mr.SoftmaxCrossEntropy()

logits = net.forward(x)
_, grad_logits = loss.value_and_gradient(logits, y)

grad_x = net.backward(grad_logits)

print("logits\n", logits)
print("∂L/∂logits\n", grad_logits)
for layer in net.layers:
    for parameter in layer.parameters:
        print(f"∂L/∂{parameter.name} of {layer}\n", np.atleast_1d(parameter.grad.squeeze()))
print("position of each maximum in its window\n", net.layers[2].winner[..., 0])
print("∂L/∂x\n", grad_x[..., 0])
