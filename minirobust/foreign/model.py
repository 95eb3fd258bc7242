"""`ForeignModel`: what models made from functions and from PyTorch modules have in common."""

from __future__ import annotations

from collections.abc import Sequence

from minirobust import backend as backends
from minirobust.model import Effort, Model
from minirobust.validation import check_dtype, check_range, check_shape, positive_int


class ForeignModel(Model):
    """A model that another library computes; it takes and returns NumPy arrays.

    A subclass sets `classes` and defines `logits` and `gradient`.

    Parameters
    ----------
    owner : str
        The public function that creates it; error messages begin with this name.
    input_shape, input_range, dtype, chunk_size
        See `function`.
    """

    def __init__(
        self,
        owner: str,
        input_shape: int | Sequence[int],
        input_range: tuple[float, float],
        dtype: str,
        chunk_size: int,
    ) -> None:
        self.owner = owner
        self.input_shape, self.input_range = check_shape(input_shape), check_range(input_range)
        self.backend, self.dtype = backends.get("numpy"), check_dtype(dtype)
        self.xp, self.effort = self.backend.xp, Effort()
        # The memory for the activations of a sample is unknown.  This value gives chunks of `chunk_size` samples.
        self.sample_bytes = max(1, self.backend.chunk_bytes // positive_int(owner, "chunk_size", chunk_size))

    def no_gradient(self, why: str) -> ValueError:
        """Return the error for an attack that needs a gradient where there is none."""
        return ValueError(
            f"{self.owner}: this attack needs a gradient, and {why}: use mr.attacks.square, "
            "or gradients=mr.attacks.differences(sigma)"
        )
