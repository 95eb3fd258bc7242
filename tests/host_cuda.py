"""CUDA without a GPU: `CupyBackend`'s kernels compiled for the host and run there, one thread after the other.

`source` makes one C++ text of kernels.cu and the elementwise bodies: nvcc compiles it as it is, the host's compiler
behind a few lines that explain ``__global__`` and ``blockIdx`` to it.  `HostCudaBackend` is `CupyBackend` on the
strict stand-in's arrays, with `RawModule` and `ElementwiseKernel` that run the compiled code and are as particular
about arguments as CUDA is careless: a number of another width, which a GPU would read as garbage, is a `TypeError`.
"""

import ctypes
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
from strict_backend import DeviceArray, StrictModule

from minirobust.backend import NumpyBackend
from minirobust.backend.cupy_backend import ELEMENTWISE, KERNELS, SHARED_MEMORY, CupyBackend, kernel_source

KINDS = ("float", "double")
DTYPES = {"float": "float32", "double": "float64", "int": "int32", "long long": "int64"}
CUDA_NAMES = {
    "T": "T",
    "int64": "long long",
    "float64": "double",
}  # of the types in an ElementwiseKernel's declarations

# Functions of CuPy that `CupyBackend` calls itself, besides those that layers may call.
FUNCTIONS = ("ascontiguousarray", "empty_like")

HOST = """
#include <math.h>
#include <pthread.h>
#include <string.h>
#include <algorithm>
#include <thread>
#include <vector>
using std::min;
#define __global__ static
#define __shared__
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __syncthreads() pthread_barrier_wait(&barrier)
struct Index { unsigned int x; };
static thread_local Index blockIdx, blockDim, threadIdx;
static pthread_barrier_t barrier;
alignas(32) static unsigned char shared[48 << 10];
"""


@dataclass(frozen=True)
class Argument:
    """One argument of a kernel: what it is of, whether it is an array, and whether the kernel may write into it."""

    name: str
    kind: str  # "T", "int", "long long" or "double"
    array: bool
    constant: bool

    def declared(self, kind):
        of = kind if self.kind == "T" else self.kind
        return f"{'const ' * self.constant}{of} {'*' * self.array}{self.name}"

    def passed(self, value, kind):
        """`value` as ctypes passes it.  Raises TypeError if it is not, to the byte, what the kernel expects."""
        dtype = np.dtype(DTYPES[kind if self.kind == "T" else self.kind])
        expected = f"{self.name}: expected {'an array' if self.array else 'a number'} of {dtype}, got {value!r}"
        if self.array:
            if not isinstance(value, DeviceArray) or value.dtype != dtype:
                raise TypeError(expected)
            if not value._host.flags.c_contiguous:
                raise TypeError(f"{self.name}: expected a contiguous array, got strides {value._host.strides}")
            return ctypes.c_void_p(value._host.ctypes.data)
        if not isinstance(value, np.generic) or value.dtype != dtype:
            raise TypeError(expected)
        return np.ctypeslib.as_ctypes_type(dtype)(value.item())


def kernels(text):
    """The arguments of every kernel template in a CUDA C++ text, by the kernel's name."""
    found = re.findall(r"template <typename T>\s*__global__ void (\w+)\(([^)]*)\)", text)
    return {name: [_argument(declaration) for declaration in arguments.split(",")] for name, arguments in found}


def _argument(declaration):
    constant, kind, star, name = re.fullmatch(
        r"\s*(const )?(T|int|long long|double) (\*?)(\w+)\s*", declaration
    ).groups()
    return Argument(name, kind, bool(star), bool(constant))


def names(parameters):
    """["net", "temperature"] of "T net, T temperature"."""
    return [parameter.split()[1] for parameter in parameters.split(",")]


def elementwise_source(kernel, inputs, outputs, body):
    """A kernel that does `body` to every element, much as CuPy's `ElementwiseKernel` writes one."""
    # Inputs are read only; an output may be read before it is written.
    declared = [(f"const {CUDA_NAMES[kind]}", name) for kind, name in map(str.split, inputs.split(","))]
    declared += [(CUDA_NAMES[kind], name) for kind, name in map(str.split, outputs.split(","))]
    arguments = ", ".join(f"{kind} *{name}_array" for kind, name in declared)
    references = "\n".join(f"    {kind} &{name} = {name}_array[k];" for kind, name in declared)
    return f"""
template <typename T>
__global__ void elementwise_{kernel}(long long size, {arguments}) {{
    long long k = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (k >= size) return;
{references}
{body}
}}
"""


def source(text=None, elementwise=None):
    """Every kernel in one text: those of kernels.cu and the elementwise ones, or others in their places."""
    text = kernel_source() if text is None else text
    elementwise = ELEMENTWISE if elementwise is None else elementwise
    return text + "".join(elementwise_source(name, *parts) for name, parts in elementwise.items())


def instantiations(text):
    """What makes a compiler compile each template for float and for double."""
    lines = [
        f"template __global__ void {name}<{kind}>({', '.join(argument.declared(kind) for argument in arguments)});"
        for (name, arguments), kind in product(kernels(text).items(), KINDS)
    ]
    return "\n".join(lines)


def waiting(text):
    """The names of the kernels whose threads wait for each other."""
    bodies = re.split(r"template <typename T>\s*__global__ void ", text)[1:]
    return {body[: body.index("(")] for body in bodies if "__syncthreads" in body}


def launchers(text):
    """For every kernel and kind a C function that runs all threads of all blocks."""
    lines = []
    for (name, arguments), kind in product(kernels(text).items(), KINDS):
        declared = ", ".join(argument.declared(kind) for argument in arguments)
        passed = ", ".join(argument.name for argument in arguments)
        head = f'extern "C" void {name}_{kind}(unsigned int blocks, unsigned int threads, {declared})'
        if name in waiting(text):
            lines.append(f"""
{head} {{
    pthread_barrier_init(&barrier, nullptr, threads);
    std::vector<std::thread> running;
    for (unsigned int thread = 0; thread < threads; ++thread)
        running.emplace_back([=] {{
            blockDim.x = threads, threadIdx.x = thread;
            for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x) {{
                // NaN everywhere, so that a read of memory that no thread has written shows.
                if (thread == 0) memset(shared, 255, sizeof(shared));
                __syncthreads();
                {name}<{kind}>({passed});
                __syncthreads();
            }}
        }});
    for (std::thread &each : running) each.join();
    pthread_barrier_destroy(&barrier);
}}""")
            continue
        lines.append(f"""
{head} {{
    blockDim.x = threads;
    for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x)
        for (threadIdx.x = 0; threadIdx.x < threads; ++threadIdx.x) {name}<{kind}>({passed});
}}""")
    return "\n".join(lines)


def compiler():
    """The host's C++ compiler, or None."""
    return next(filter(None, map(shutil.which, ("g++", "clang++", "c++"))), None)


class Library:
    """All kernels of a text, compiled for the host in `folder`."""

    def __init__(self, folder, text=None):
        text = source() if text is None else text
        program, library = folder / "kernels.cpp", folder / "kernels.so"
        program.write_text(HOST + text + launchers(text), encoding="utf-8")
        # Contraction into fused multiply-adds would round otherwise than the reference.
        options = ["-std=c++17", "-O1", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
        subprocess.run([compiler(), *options, "-o", str(library), str(program)], check=True)
        self.functions = ctypes.CDLL(str(library))
        self.arguments = kernels(text)

    def launch(self, name, kind, grid, block, values, shared_mem=0):
        """Runs ``name<kind>`` on `grid` blocks of `block` threads, which share as many bytes."""
        if not all(grid):
            raise ValueError(f"{name}: expected at least one block, got the grid {grid}")
        if shared_mem > SHARED_MEMORY:
            raise ValueError(f"{name}: expected at most {SHARED_MEMORY} shared bytes, got {shared_mem}")
        arguments = self.arguments[name]
        if len(values) != len(arguments):
            raise TypeError(f"{name}: expected {len(arguments)} arguments, got {len(values)}")
        passed = [argument.passed(value, kind) for argument, value in zip(arguments, values, strict=True)]
        getattr(self.functions, f"{name}_{kind}")(*map(ctypes.c_uint, (*grid, *block)), *passed)


class RawModule:
    """In place of CuPy's: kernels by name expression."""

    def __init__(self, library, *, code, options, name_expressions):
        assert code == kernel_source()
        assert "-std=c++17" in options
        self.library, self.names = library, name_expressions

    def get_function(self, expression):
        if expression not in self.names:
            raise KeyError(expression)
        name, kind = re.fullmatch(r"(\w+)<(\w+)>", expression).groups()
        return partial(self.library.launch, name, kind)


class ElementwiseKernel:
    """In place of CuPy's: decides the type T and the shape by the arrays, takes outputs or makes them."""

    def __init__(self, library, inputs, outputs, operation, name):
        self.library = library
        self.inputs, self.outputs = names(inputs), names(outputs)
        self.kinds = [parameter.split()[0] for parameter in inputs.split(",")]
        self.name = name.removeprefix("minirobust_")
        assert ELEMENTWISE[self.name] == (inputs, outputs, operation)

    def __call__(self, *values):
        if len(values) not in (len(self.inputs), len(self.inputs) + len(self.outputs)):
            raise TypeError(f"{self.name}: wrong number of arguments, {len(values)}")
        kinds = [*self.kinds, *("T" for _ in values[len(self.inputs) :])]
        arrays = [
            value for value, kind in zip(values, kinds, strict=True) if isinstance(value, DeviceArray) and kind == "T"
        ]
        for value in values:
            if not isinstance(value, DeviceArray | float | int | np.generic):
                raise TypeError(f"{self.name}: unsupported type {type(value)}")
        if len({array.dtype for array in arrays}) != 1:
            raise TypeError(f"{self.name}: type is mismatched, {arrays}")
        dtype = arrays[0].dtype
        shape = np.broadcast_shapes(*(array.shape for array in arrays))
        results = values[len(self.inputs) :] or [DeviceArray(np.empty(shape, dtype)) for _ in self.outputs]
        if any(not isinstance(result, DeviceArray) or result.shape != shape for result in results):
            raise ValueError(f"{self.name}: out shape is mismatched, expected {shape}, got {results}")
        hosts = [value._host if isinstance(value, DeviceArray) else value for value in values[: len(self.inputs)]]
        hosts = [
            np.broadcast_to(np.asarray(host, dtype if kind == "T" else kind), shape)
            for host, kind in zip(hosts, self.kinds, strict=True)
        ]
        copies = [DeviceArray(host.copy()) for host in (*hosts, *(result._host for result in results))]
        size = np.int64(copies[0].size)
        kind = {"f": "float", "d": "double"}[dtype.char]
        self.library.launch(f"elementwise_{self.name}", kind, (-(-int(size) // 128),), (128,), (size, *copies))
        for result, copied in zip(results, copies[len(self.inputs) :], strict=True):
            result._host[...] = copied._host
        return results[0] if len(results) == 1 else tuple(results)


class HostModule(StrictModule):
    """What stands for CuPy as `xp`."""

    def __init__(self, library):
        super().__init__()
        for name in FUNCTIONS:
            setattr(self, name, self._on_device(getattr(np, name)))
        self.add.reduce = self._on_device(np.add.reduce)
        self.lib = self.stride_tricks = self
        self.sliding_window_view = self._on_device(np.lib.stride_tricks.sliding_window_view)
        self.RawModule = partial(RawModule, library)
        self.ElementwiseKernel = partial(ElementwiseKernel, library)


class HostCudaBackend(CupyBackend):
    """`CupyBackend` with every kernel of its own, on the host; only moving arrays and drawing numbers are NumPy's."""

    name = "host-cuda"
    chunk_bytes = NumpyBackend.chunk_bytes
    record = None

    def __init__(self, library):
        self.xp = HostModule(library)

    def describe(self):
        return "CUDA kernels compiled for the host"

    def to_numpy(self, array):
        return array._host.copy() if self.owns(array) else np.asarray(array)

    def random(self, shape, key, dtype):
        return DeviceArray(NumpyBackend.random(self, shape, key, dtype))


assert set(kernels(kernel_source())) == set(KERNELS)
