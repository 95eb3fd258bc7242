"""The layers; each defines `forward`, `input_gradient` and `parameter_gradients` one below the other."""

from minirobust.layers.activations import ReLU as ReLU
from minirobust.layers.activations import Tanh as Tanh
from minirobust.layers.conv import Conv2D as Conv2D
from minirobust.layers.dense import Dense as Dense
from minirobust.layers.dropout import Dropout as Dropout
from minirobust.layers.flatten import Flatten as Flatten
from minirobust.layers.layer import Buffer as Buffer
from minirobust.layers.layer import Layer as Layer
from minirobust.layers.layer import Parameter as Parameter
from minirobust.layers.pooling import AvgPool2D as AvgPool2D
from minirobust.layers.pooling import MaxPool2D as MaxPool2D
from minirobust.layers.sigmoid import TemperatureSigmoid as TemperatureSigmoid
from minirobust.layers.softmax import Softmax as Softmax
