"""A stand-in for a GPU: arrays that, like CuPy's, are not converted to NumPy arrays or Python numbers implicitly.

Behind them is NumPy, so the whole suite can run on "a device" where there is none, and whatever would mix host and
device arrays, or stop a device to look at a number, fails.  Moving is possible in the two ways that a backend has:
`asarray` there, `to_numpy` (counted) back.
"""

import operator

import numpy as np

from minirobust.backend import BACKENDS, NumpyBackend, get

# What minirobust may call on `xp`: functions that CuPy has too (see test_strict_backend.py).
FUNCTIONS = (
    "abs",
    "add",
    "arange",
    "asarray",
    "ascontiguousarray",
    "clip",
    "cos",
    "empty",
    "exp",
    "full",
    "log",
    "log1p",
    "matmul",
    "maximum",
    "minimum",
    "multiply",
    "sign",
    "sin",
    "sqrt",
    "tanh",
    "where",
    "zeros",
    "zeros_like",
)


def to_host(value):
    """Unwraps device arrays inside an argument; host arrays are refused."""
    if isinstance(value, DeviceArray):
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError(f"host and device arrays mixed: got a numpy.ndarray of shape {value.shape}")
    if isinstance(value, tuple):
        return tuple(map(to_host, value))
    return value


def to_device(value):
    """Wraps what NumPy returned; even a single number stays on the device."""
    if isinstance(value, np.ndarray):
        return DeviceArray(value)
    return DeviceArray(np.asarray(value)) if isinstance(value, np.generic) else value


def refusal(what):
    def refuse(self, *args, **kwargs):
        raise TypeError(f"implicit transfer from the device: {what}")

    return refuse


class DeviceArray:
    """An array "on the device"."""

    __slots__ = ("_host",)
    __array_ufunc__ = None  # NumPy's operators give way to ours
    __hash__ = None

    def __init__(self, host):
        self._host = host

    shape = property(lambda self: self._host.shape)
    dtype = property(lambda self: self._host.dtype)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    itemsize = property(lambda self: self._host.itemsize)
    T = property(lambda self: DeviceArray(self._host.T))

    def __len__(self):
        return len(self._host)

    def __repr__(self):
        return f"DeviceArray(shape={self.shape}, dtype={self.dtype})"

    def __getitem__(self, key):
        key = to_host(key)
        for part in key if isinstance(key, tuple) else (key,):
            if isinstance(part, np.ndarray) and part.dtype.kind == "b":
                raise TypeError("implicit transfer from the device: the shape of x[mask] depends on the mask")
        return to_device(self._host[key])

    def __setitem__(self, key, value):
        self._host[to_host(key)] = to_host(value)

    __array__ = refusal("NumPy asked for the array")
    __array_function__ = refusal("a NumPy function was called on it")
    __iter__ = refusal("iteration")
    __float__ = refusal("float()")
    __int__ = refusal("int()")
    __bool__ = refusal("bool()")
    __index__ = refusal("use as an index")
    item = refusal("item()")
    tolist = refusal("tolist()")
    __contains__ = refusal("in")


def _operator(function):
    def apply(self, *others):
        return to_device(function(self._host, *map(to_host, others)))

    return apply


def _reflected(function):
    def apply(self, other):
        return to_device(function(to_host(other), self._host))

    return apply


def _in_place(function):
    def apply(self, other):
        function(self._host, to_host(other))
        return self

    return apply


def _method(name):
    def apply(self, *args, out=None, **kwargs):
        if out is not None:
            kwargs["out"] = to_host(out)
        return to_device(getattr(self._host, name)(*map(to_host, args), **kwargs))

    return apply


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor"):
    _function = getattr(operator, _name)
    _dunder = _name.rstrip("_")
    setattr(DeviceArray, f"__{_dunder}__", _operator(_function))
    setattr(DeviceArray, f"__r{_dunder}__", _reflected(_function))
    setattr(DeviceArray, f"__i{_dunder}__", _in_place(getattr(operator, f"i{_dunder}")))
for _name in ("eq", "ne", "lt", "le", "gt", "ge", "neg", "abs", "invert"):
    setattr(DeviceArray, f"__{_name}__", _operator(getattr(operator, _name)))
for _name in ("sum", "mean", "max", "min", "argmax", "argsort", "all", "any", "reshape", "ravel", "transpose"):
    setattr(DeviceArray, _name, _method(_name))
for _name in ("astype", "copy", "clip", "std", "cumsum", "squeeze"):
    setattr(DeviceArray, _name, _method(_name))


class StrictModule:
    """What stands for `xp`: NumPy's functions on device arrays, those of `FUNCTIONS` and no others."""

    ndarray = DeviceArray

    def __init__(self):
        for name in FUNCTIONS:
            setattr(self, name, self._on_device(getattr(np, name)))
        self.add.reduce = self._on_device(np.add.reduce)
        self.asarray = lambda array: array if isinstance(array, DeviceArray) else to_device(np.array(array))

    @staticmethod
    def _on_device(function):
        def call(*args, **kwargs):
            kept = kwargs.get("out")
            result = function(*map(to_host, args), **{name: to_host(value) for name, value in kwargs.items()})
            return kept if kept is not None else to_device(result)

        return call


class StrictBackend(NumpyBackend):
    """The reference kernels on arrays that stay where they are.

    Attributes
    ----------
    transfers : int
        How often something was moved to the host.
    """

    name = "strict"
    loss_scale = 1.0

    def __init__(self):
        self.xp = StrictModule()
        self.transfers = 0

    def describe(self):
        return "NumPy behind arrays that refuse implicit transfers"

    def to_numpy(self, array):
        if not isinstance(array, DeviceArray):
            return np.asarray(array)
        self.transfers += 1
        return array._host.copy()

    def random(self, shape, key, dtype):
        return to_device(super().random(shape, key, dtype))

    def im2col(self, x, kernel, stride, padding):
        return to_device(reference.im2col(x._host, kernel, stride, padding))  # it needs the array's memory


reference = NumpyBackend()
BACKENDS["strict"] = StrictBackend
strict = get("strict")
