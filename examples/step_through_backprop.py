"""Step through three layers and two samples in a debugger; they are small enough to see every number.

python -m pdb examples/step_through_backprop.py
(Pdb) break 33
(Pdb) continue
(Pdb) step          repeat this: it goes through `Network.backward` into each layer, from the last to the first
(Pdb) p self.x      the input that the layer stored in its forward pass; self.weight.value and grad_y are arrays, too
"""

import command_line  # first, so that Ctrl-C prints one sentence
import numpy as np

import minirobust as mr

command_line.options(__doc__)  # only --help

np.set_printoptions(precision=4, suppress=True)

x = np.array([[0.2, 0.9], [0.7, 0.1]])
y = np.array([0, 1])

net = mr.Network(
    [mr.Dense(3), mr.TemperatureSigmoid(0.5), mr.Dense(2)],
    input_shape=(2,),
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
        print(f"∂L/∂{parameter.name} of {layer}\n", parameter.grad)
print("∂L/∂x\n", grad_x)
