"""The positions of windows on an image: geometries that hypothesis draws, and plain loops over them."""

from dataclasses import dataclass
from itertools import product

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

# Arithmetic on tiny arrays, the same examples every time; the fixture `backend` holds no state between examples.
small_examples = settings(
    deadline=None,
    derandomize=True,
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@dataclass(frozen=True)
class Windows:
    """Windows on a batch of images, as a backend's kernels take them."""

    shape: tuple[int, int, int, int]  # (N, H, W, C)
    window: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]  # (top, bottom), (left, right)

    @property
    def arguments(self):
        return self.window, self.stride, self.padding

    @property
    def out(self):
        """How many windows stand inside the padded image, counted one by one."""
        (top, bottom), (left, right) = self.padding
        down = range(0, self.shape[1] + top + bottom - self.window[0] + 1, self.stride[0])
        across = range(0, self.shape[2] + left + right - self.window[1] + 1, self.stride[1])
        return len(down), len(across)

    def corners(self):
        """For every window (n, oh, ow), the image's row and column, perhaps outside, on which its first place lies."""
        samples = range(self.shape[0])
        for n, oh, ow in product(samples, *map(range, self.out)):
            yield (n, oh, ow), (oh * self.stride[0] - self.padding[0][0], ow * self.stride[1] - self.padding[1][0])

    def places(self):
        """The places (i, j) inside a window, row by row."""
        return product(*map(range, self.window))

    def inside(self, row, column):
        return 0 <= row < self.shape[1] and 0 <= column < self.shape[2]


@st.composite
def windows(draw, pooling=False):
    """Any geometry in which at least one window fits; for `pooling`, with padding of at most half a window."""
    size = st.integers(1, 6)
    window = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    stride = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    if pooling:
        down, across = draw(st.tuples(st.integers(0, window[0] // 2), st.integers(0, window[1] // 2)))
        padding = ((down, down), (across, across))
    else:
        border = st.tuples(st.integers(0, 2), st.integers(0, 2))
        padding = draw(st.tuples(border, border))
    least = [max(1, w - sum(p)) for w, p in zip(window, padding, strict=True)]
    height, width = (draw(size.map(lambda n, low=low: max(n, low))) for low in least)
    samples, channels = draw(st.tuples(st.integers(1, 2), st.integers(1, 3)))
    return Windows((samples, height, width, channels), window, stride, padding)
