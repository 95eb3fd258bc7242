# assignment: masked_defence v1
"""A diagnosis of defences that only look robust, and an attack that breaks them. NumPy is all you need.

`model` is the network under attack, and `substitute` is an ordinary network that was trained on the same data. Both
have

- `logits(x)`, the logits (N, 10) of images (N, 14, 14, 1);
- `gradient(x, cotangent)`, the gradient of sum(cotangent * logits) with respect to x. With the cotangent
  softmax(logits) - one_hot(y), that is the gradient of cross entropy; other cotangents belong to other losses.

All arrays are float32. Each image that is shown to `model` costs one query, for `logits` and for `gradient` alike. In
one call of your functions, `model` answers at most `model.budget` queries. Images shown to `substitute` are free.
"""


def diagnose(model, substitute, x, y, epsilon):
    """Return what is wrong with the gradient of a network, as one of five strings.

    - "no gradient": the gradient of every logit is 0 at every pixel.
    - "false zeros": the gradient is 0 at most pixels, but not at all of them.
    - "saturated loss": the logits have gradients, but the gradient of cross entropy is 0 for most images.
    - "misleading gradient": PGD on cross entropy, run until it converges, fools the model on fewer images than PGD on
      the substitute does.
    - "not masked": none of these.
    """
    raise NotImplementedError


def attack(model, substitute, x, y, epsilon):
    """Return images that differ from `x` by at most `epsilon` at each pixel, stay in [0, 1], and fool the model.

    All images in `x` are classified correctly as `y`. At most half of the images that you return may still be.
    """
    raise NotImplementedError
