"""`MLPClassifier`: scikit-learn's estimator checks, and its use with scikit-learn's tools."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

import minirobust as mr

pytest.importorskip("sklearn")
from sklearn.base import clone, is_classifier
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks


@parametrize_with_checks([mr.MLPClassifier(hidden=32, learning_rate=0.01)])
def test_scikit_learns_checks_pass(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


@pytest.fixture
def small():
    """A classifier that learns the irises in a tenth of a second."""
    return mr.MLPClassifier(hidden=16, temperature=0.5, epochs=20, learning_rate=0.01, batch_size=16)


def test_a_fit_is_that_of_the_library_with_the_same_seed(iris, small):
    X, y = iris
    small.fit(X, y)
    seed = small.network_.seed
    layers = [mr.Dense(16), mr.TemperatureSigmoid(0.5), mr.Dense(3)]
    network = mr.Network(layers, (4,), seed=seed)
    history = mr.fit(network, mr.Adam(network, lr=0.01), (X.astype("float32"), y), 20, 16, seed, progress=False)
    np.testing.assert_array_equal(small.network_.parameters, network.parameters)
    assert [epoch.loss for epoch in small.history_] == [epoch.loss for epoch in history]
    np.testing.assert_array_equal(small.predict_proba(X), network.predict_proba(X.astype("float32")))


@pytest.mark.parametrize("labels", [["setosa", "versicolor", "virginica"], [7, -1, 30], [2.0, 0.0, 1.0]])
def test_labels_of_any_type_come_back(labels, iris, small):
    X, y = iris[0], np.array(labels)[iris[1]]
    small.fit(X, y)
    assert list(small.classes_) == sorted(labels)
    assert small.predict(X).dtype == y.dtype
    assert small.score(X, y) > 0.9
    np.testing.assert_array_equal(small.classes_[small.predict_proba(X).argmax(axis=1)], small.predict(X))


def test_classifier_works_in_a_pipeline_and_a_grid_search(iris):
    pipeline = make_pipeline(StandardScaler(), mr.MLPClassifier(hidden=8, epochs=10, batch_size=16))
    grid = {"mlpclassifier__temperature": [0.5, 2.0], "mlpclassifier__learning_rate": [1e-5, 0.02]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(*iris)
    assert search.best_params_["mlpclassifier__learning_rate"] == 0.02
    assert search.best_score_ > 0.85
    assert search.best_estimator_[-1].n_features_in_ == 4


def test_a_clone_is_unfitted_and_learns_the_same(iris, small):
    small.fit(*iris)
    twin = clone(small)
    with pytest.raises(NotFittedError):
        twin.predict(iris[0])
    np.testing.assert_array_equal(twin.fit(*iris).network_.parameters, small.network_.parameters)
    assert is_classifier(small)


def test_the_random_state_selects_weights_and_shuffling(iris, small):
    def weights(state):
        return clone(small).set_params(random_state=state, epochs=1).fit(*iris).network_.parameters

    np.testing.assert_array_equal(weights(1), weights(np.random.RandomState(1)))
    assert (weights(1) != weights(2)).any()
    assert (weights(None) != weights(None)).any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pickled_classifier_predicts_the_same(dtype, iris, small):
    small.set_params(dtype=dtype).fit(*iris)
    small.set_params(hidden=3)  # for the next fit
    twin = pickle.loads(pickle.dumps(small))
    np.testing.assert_array_equal(twin.predict_proba(iris[0]), small.predict_proba(iris[0]))
    assert repr(twin.network_) == repr(small.network_)
    twin.network_.parameters[...] = 0
    assert small.network_.parameters.any()


def test_it_computes_on_every_backend(backend, iris, small):
    small.set_params(backend=backend, dtype="float64").fit(*iris)
    assert small.network_.backend is backend
    assert type(small.predict(iris[0])) is type(small.predict_proba(iris[0])) is np.ndarray
    assert small.score(*iris) > 0.9


def test_network_of_the_classifier_can_be_attacked_and_audited(digits):
    train, test = digits.train[:300], digits.test[:20]
    model = mr.MLPClassifier(hidden=16, epochs=5, learning_rate=0.01)
    model.fit(train.pixels().reshape(300, -1), train.labels)
    x = test.pixels().reshape(20, -1)
    attack = mr.attacks.fgsm(model.network_, x, test.labels, epsilon=0.3)
    assert attack.fooled.mean() > (model.predict(x) != test.labels).mean()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden": 0}, "MLPClassifier: expected hidden to be a whole number of at least 1, got 0"),
        ({"temperature": -1}, "TemperatureSigmoid: expected temperature in"),
        ({"learning_rate": 0}, "MLPClassifier: expected learning_rate in"),
        ({"epochs": 0}, "epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"dtype": "float16"}, "float16"),
        ({"backend": "abacus"}, "abacus"),
    ],
)
def test_wrong_arguments_are_refused_by_fit(arguments, message, iris):
    with pytest.raises((ValueError, mr.backend.BackendError), match=message):
        mr.MLPClassifier(**arguments).fit(*iris)


def test_one_class_is_refused(iris):
    with pytest.raises(ValueError, match="expected labels of at least two classes, got one class: 7"):
        mr.MLPClassifier().fit(iris[0], np.full(150, 7))


def test_without_scikit_learn_the_name_is_there_and_says_what_it_needs():
    code = """
import sys
sys.modules["sklearn"] = None
import minirobust as mr
from minirobust import *
try:
    mr.MLPClassifier()
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("MLPClassifier needs sklearn")
    assert done.stdout.count("\n") == 1
    assert "pip install 'minirobust[interop]'" in done.stdout


def test_importing_minirobust_imports_none_of_the_neighbours():
    code = "import sys, minirobust; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "onnx", "onnxruntime", "sklearn", "scipy", "pandas"} & set(loaded)
