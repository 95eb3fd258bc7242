"""`MLPClassifier`: the study's fully connected network as a scikit-learn classifier."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minirobust.backend import Backend
from minirobust.layers import Dense, TemperatureSigmoid
from minirobust.neighbours.optional import import_optional
from minirobust.network import Network
from minirobust.optimizers import Adam
from minirobust.saving.checkpoint import pack, unpack
from minirobust.training import History, fit
from minirobust.validation import number, positive_int

if TYPE_CHECKING:
    from typing import Self

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
except ImportError:  # without scikit-learn the class can be imported, and says what it needs when it is called

    class BaseEstimator:  # type: ignore[no-redef]
        """Stands in for scikit-learn's class of this name."""

    class ClassifierMixin:  # type: ignore[no-redef]
        """Stands in for scikit-learn's class of this name."""


class MLPClassifier(ClassifierMixin, BaseEstimator):
    """A network with one hidden layer of temperature sigmoids, trained by Adam on cross entropy.

    It follows scikit-learn's conventions, so it works in a ``Pipeline`` and in ``GridSearchCV``.

    Parameters
    ----------
    hidden : int, default 256
        Width of the hidden layer.
    temperature : float, default 1.0
        Temperature of the sigmoids.
    epochs : int, default 100
    learning_rate : float, default 1e-3
        Learning rate of Adam.
    batch_size : int, default 64
    random_state : int, RandomState or None, default 0
        Seed of the weights and of the shuffling.  None draws a new seed for every fit.
    backend : str or Backend, default "numpy"
        See `Network`.
    dtype : {"float32", "float64"}, default "float32"
        Dtype of the network.
    input_range : (float, float), default (0, 1)
        Range to which attacks on `network_` clip; training and prediction accept any finite numbers.

    Attributes
    ----------
    network_ : Network
        The trained network, which you can attack, audit and save.  Its class ``i`` is ``classes_[i]``.
    history_ : History
        One record for each epoch.
    classes_ : ndarray of shape (classes,)
        The labels, sorted.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns of X, if all of them are strings.

    Raises
    ------
    ImportError
        If scikit-learn is not installed.

    Examples
    --------
    ::

        from sklearn.datasets import load_iris
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        X, y = load_iris(return_X_y=True)
        model = make_pipeline(StandardScaler(), mr.MLPClassifier(hidden=16, temperature=0.5)).fit(X, y)
        model.score(X, y)
    """

    network_: Network
    history_: History
    classes_: np.ndarray
    n_features_in_: int

    def __init__(
        self,
        hidden: int = 256,
        temperature: float = 1.0,
        epochs: int = 100,
        learning_rate: float = 1e-3,
        batch_size: int = 64,
        random_state: Any = 0,
        backend: str | Backend = "numpy",
        dtype: str = "float32",
        input_range: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        import_optional("sklearn", "MLPClassifier", "'minirobust[interop]'")
        self.hidden = hidden
        self.temperature = temperature
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.random_state = random_state
        self.backend = backend
        self.dtype = dtype
        self.input_range = input_range

    def fit(self, X: Any, y: Any) -> Self:
        """Train a new network.

        Parameters
        ----------
        X : array-like of shape (n, features)
        y : array-like of shape (n,)
            Labels of any type, with at least two classes.

        Returns
        -------
        MLPClassifier
            The classifier itself.

        Raises
        ------
        ValueError, TypeError
            If an argument of the constructor, X or y is wrong.
        NonFiniteError
            If the loss becomes NaN or infinite.
        """
        from sklearn.utils import check_random_state
        from sklearn.utils.multiclass import check_classification_targets
        from sklearn.utils.validation import validate_data

        X, y = validate_data(self, X, y, dtype=self.dtype)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"MLPClassifier: expected labels of at least two classes, got one class: {y[0]}")
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        hidden = positive_int("MLPClassifier", "hidden", self.hidden)
        layers = [Dense(hidden), TemperatureSigmoid(self.temperature), Dense(len(self.classes_))]
        shape = (self.n_features_in_,)
        self.network_ = Network(layers, shape, self.backend, self.dtype, seed, self.input_range)
        optimizer = Adam(self.network_, lr=number("MLPClassifier", "learning_rate", self.learning_rate, low=0))
        self.history_ = fit(self.network_, optimizer, (X, labels), self.epochs, self.batch_size, seed, progress=False)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the most likely label of every sample.

        Parameters
        ----------
        X : array-like of shape (n, features)

        Returns
        -------
        ndarray of shape (n,)
            Elements of `classes_`.

        Raises
        ------
        NotFittedError, ValueError
            If `fit` was not called, or X does not have the features of `fit`.
        """
        X = self._checked(X)
        return self.classes_[self.network_.backend.to_numpy(self.network_.predict(X))]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class for every sample.

        Parameters
        ----------
        X : array-like of shape (n, features)

        Returns
        -------
        ndarray of shape (n, classes)
            In the order of `classes_`.

        Raises
        ------
        NotFittedError, ValueError
            See `predict`.
        """
        X = self._checked(X)
        return self.network_.backend.to_numpy(self.network_.predict_proba(X))

    def _checked(self, X: Any) -> np.ndarray:
        """Return X in the network's dtype, after checking that the classifier is fitted and that X has its features."""
        from sklearn.utils.validation import check_is_fitted, validate_data

        check_is_fitted(self)
        return validate_data(self, X, dtype=self.network_.dtype, reset=False)

    # A network cannot be pickled, but the contents of a checkpoint can.

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "network_" in state:
            network = state["network_"]
            state["network_"] = (*pack(network), network.backend.name)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "network_" in state:
            self.network_ = unpack(Path("MLPClassifier"), *state["network_"]).network
