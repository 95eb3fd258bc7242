"""`Recording`: a training step that a CUDA device replays as a whole, as a CUDA graph.

Python needs ten times as long to launch the kernels of a small network's step as a GPU needs to run them.  So the step
is recorded once, and from then on launched with a single call.  While it is recorded CuPy notes its launches instead of
making them.  Two things must be arranged for that: memory of the recording's own, since a replay writes to the same
addresses as the step that was recorded; and matrix products that go to cuBLAS directly, since CuPy refuses to record
those that it makes itself.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from minirobust.backend.numpy_backend import Array

if TYPE_CHECKING:
    from minirobust.backend.cupy_backend import CupyBackend
    from minirobust.layers import Layer
    from minirobust.network import Network

WARM_UPS = 2  # steps before the recording: what is compiled or allocated at first must not be in it
WORKSPACE = 32 << 20  # bytes that cuBLAS may use: what NVIDIA recommends for the largest devices


class Recording:
    """A step of a network's training, recorded when it has been taken `WARM_UPS` times.

    Parameters
    ----------
    backend : CupyBackend
    network : Network
        Whose layers `step` runs.
    step : callable
        Takes no argument and returns nothing: whatever differs from step to step is in arrays on the device.
    """

    def __init__(self, backend: CupyBackend, network: Network, step: Callable[[], None]) -> None:
        cuda = backend.xp.cuda
        self.backend, self.network, self.step = backend, network, step
        self.stream = cuda.Stream(non_blocking=True)
        self.pool = cuda.MemoryPool()
        self.cublas = Cublas(backend.xp)
        self.layers = tuple(self._twin(layer) for layer in network.layers)
        self.taken = 0
        self.graph: Any = None

    def take(self) -> None:
        """Take the next step."""
        if self.graph is None and self.taken < WARM_UPS:
            with self._arranged():
                self.step()
            self.taken += 1
            return
        if self.graph is None:
            with self._arranged():
                self.stream.begin_capture()
                try:
                    self.step()
                finally:
                    self.graph = self.stream.end_capture()
        self.graph.launch()
        self.network.passed = None  # the network's own layers have not seen this step

    @contextmanager
    def _arranged(self) -> Iterator[None]:
        """Let the step run on a stream and in memory of its own, with the layers' twins in their places."""
        cuda, layers = self.backend.xp.cuda, self.network.layers
        cuda.Device().synchronize()  # streams do not wait for one another
        self.cublas.use(self.stream)
        self.network.layers = self.layers
        try:
            with cuda.using_allocator(self.pool.malloc), self.stream:
                yield
        finally:
            self.network.layers = layers
            self.network.passed = None
            self.stream.synchronize()

    def _twin(self, layer: Layer) -> Layer:
        """Return a layer that shares all arrays with `layer`, and whose matrix products go to cuBLAS."""
        cupy, matmul = self.backend.xp, self.cublas.matmul

        class Factor(cupy.ndarray):  # type: ignore[misc, name-defined]
            """A weight.  In ``x @ weight`` its method comes first, because its class is derived from that of `x`."""

            def __rmatmul__(self, x: Array) -> Array:
                return matmul(x, self)

            @property
            def T(self) -> Array:  # noqa: N802
                return Factor(self.shape[::-1], self.dtype, memptr=self.data, strides=self.strides[::-1])

        twin = layer.view()
        twin.training = True
        twin.backend = type(self.backend).__new__(type(self.backend))
        vars(twin.backend).update(vars(self.backend), xp=SimpleNamespace(**{**vars(cupy), "matmul": matmul}))
        twin.xp = twin.backend.xp
        for parameter in layer.parameters:
            if len(parameter.shape) == 2:
                weight = Factor(parameter.shape, parameter.value.dtype, memptr=parameter.value.data)
                vars(twin)[parameter.name] = type(parameter)(parameter.shape, parameter.initializer)
                vars(twin)[parameter.name].bind(parameter.name, weight, parameter.grad)
        return twin


class Cublas:
    """Products of matrices by NVIDIA's library itself.

    Parameters
    ----------
    cupy : module
        Which has loaded the library, and allocates.
    """

    def __init__(self, cupy: Any) -> None:
        self.cupy = cupy
        cupy.cuda.get_cublas_handle()  # loads the library, wherever it is installed
        major = cupy.cuda.runtime.runtimeGetVersion() // 1000
        self.library = ctypes.CDLL(f"cublas64_{major}.dll" if sys.platform == "win32" else f"libcublas.so.{major}")
        self.handle = ctypes.c_void_p()
        self.check(self.library.cublasCreate_v2(ctypes.byref(self.handle)))
        self.workspace = cupy.empty(WORKSPACE, dtype="uint8")

    def __del__(self) -> None:
        if getattr(self, "handle", None):
            self.library.cublasDestroy_v2(self.handle)

    def use(self, stream: Any) -> None:
        """Run the products on a stream and in the workspace: memory that cuBLAS allocates itself cannot be recorded."""
        address, size = ctypes.c_void_p(self.workspace.data.ptr), ctypes.c_size_t(WORKSPACE)
        self.check(self.library.cublasSetStream_v2(self.handle, ctypes.c_void_p(stream.ptr)))
        self.check(self.library.cublasSetWorkspace_v2(self.handle, address, size))

    def matmul(self, a: Any, b: Any, out: Any = None) -> Any:
        """Return the product of two matrices, both float32 or both float64, in `out` if given."""
        (rows, inner), columns = a.shape, b.shape[1]
        out = self.cupy.empty((rows, columns), dtype=a.dtype) if out is None else out
        kind, number = {"f": ("S", ctypes.c_float), "d": ("D", ctypes.c_double)}[a.dtype.char]
        (a, turned_a, a_row), (b, turned_b, b_row) = map(self._layout, (a, b))
        # cuBLAS counts down the columns and we along the rows, so it sees every matrix transposed: (ab)ᵀ = bᵀ aᵀ.
        product = getattr(self.library, f"cublas{kind}gemm_v2")
        pointers = [ctypes.c_void_p(array.data.ptr) for array in (b, a, out)]
        one, zero = (ctypes.byref(number(value)) for value in (1, 0))
        status = product(
            *(self.handle, turned_b, turned_a, columns, rows, inner, one),
            *(pointers[0], b_row, pointers[1], a_row, zero, pointers[2], columns),
        )
        self.check(status)
        return out

    def _layout(self, matrix: Any) -> tuple[Any, int, int]:
        """Return a matrix, whether it is stored transposed, and the length of a stored row."""
        if not matrix.flags.c_contiguous and matrix.flags.f_contiguous:
            return matrix, 1, matrix.shape[0]
        return self.cupy.ascontiguousarray(matrix), 0, matrix.shape[1]

    @staticmethod
    def check(status: int) -> None:
        """Raise RuntimeError unless cuBLAS returned 0."""
        if status:
            raise RuntimeError(f"cuBLAS: expected status 0, got {status}")
