"""The one error of this package, in a file of its own so that every backend can raise it."""


class BackendError(RuntimeError):
    """A backend that does not exist or cannot run on this machine; its message is one sentence that says why."""
