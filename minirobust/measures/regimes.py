"""Activation regimes of the temperature sigmoid: linear, nonlinear, saturated (section 3.1 of the study)."""

from __future__ import annotations

import math
from typing import NamedTuple

from minirobust import backend
from minirobust.backend import Array
from minirobust.validation import number


class Bounds(NamedTuple):
    """Where the linear regime ends (`r1`) and the saturated one begins (`r2`), as absolute net values."""

    r1: float
    r2: float


class Fractions(NamedTuple):
    """Shares of net values in each regime; they add up to 1."""

    linear: float
    nonlinear: float
    saturated: float


def bounds(temperature: float, delta1: float = 0.05, delta2: float = 0.0005) -> Bounds:
    """Return the bounds of the regimes at one temperature.

    Parameters
    ----------
    temperature : float
        T > 0.
    delta1 : float, default 0.05
        r1 is the smallest net > 0 whose perpendicular distance from (net, f(net)) to the tangent at 0,
        1/2 + net/(4T), is delta1.
    delta2 : float, default 0.0005
        r2 is the greatest net > 0 with f'(net) = delta2.

    Returns
    -------
    Bounds
        (r1, r2) with 0 < r1 < r2.

    Raises
    ------
    ValueError
        If an argument is not above 0, if the slope never reaches delta2 (T·delta2 ≥ 1/4), or if r2 ≤ r1, which leaves
        nothing between the linear and the saturated regime.

    Examples
    --------
    >>> r1, r2 = bounds(1.0)
    >>> f"linear up to {r1:.2f}, saturated from {r2:.2f}"
    'linear up to 1.44, saturated from 7.60'
    """
    T = number("bounds", "temperature", temperature, low=0)
    number("bounds", "delta1", delta1, low=0)
    a = number("bounds", "delta2", delta2, low=0) * T
    if a >= 0.25:
        raise ValueError(
            f"bounds: the slope of the sigmoid at T = {T:g} is at most {1 / (4 * T):g}, never delta2 = {delta2:g}"
        )
    r1 = _linear_until(T, delta1)
    # f'(net) = e / (T (1 + e)²) = delta2 is a quadratic in e = exp(-net/T); this is its smaller root, solved for net.
    r2 = T * math.log((1 - 2 * a + math.sqrt(1 - 4 * a)) / (2 * a))
    if r2 <= r1:
        raise ValueError(
            f"bounds: at T = {T:g}, delta1 = {delta1:g}, delta2 = {delta2:g} the saturated regime begins (r2 = {r2:g}) "
            f"before the linear one ends (r1 = {r1:g})"
        )
    return Bounds(r1, r2)


def _linear_until(T: float, delta1: float) -> float:
    """Return r1 by bisection: the distance to the tangent grows from 0 without bound, so it equals delta1 once."""
    slope = 1 / (4 * T)
    # The sigmoid stays below 1, so its distance from the tangent reaches delta1 before this net.
    near, far = 0.0, (0.5 + delta1 * math.hypot(1, slope)) / slope
    while near < (net := (near + far) / 2) < far:  # until no number lies between the two
        vertical = 0.5 + net * slope - 1 / (1 + math.exp(-net / T))
        if vertical / math.hypot(1, slope) < delta1:
            near = net
        else:
            far = net
    return far


def fractions(net_values: Array, temperature: float, delta1: float = 0.05, delta2: float = 0.0005) -> Fractions:
    """Return the share of net values in each regime, over all neurons and samples.

    Parameters
    ----------
    net_values : ndarray of any shape
        Inputs of the sigmoid, as returned by `Network.hidden`.
    temperature, delta1, delta2 : float
        As for `bounds`.

    Returns
    -------
    Fractions
        (linear, nonlinear, saturated): |net| ≤ r1, between, |net| ≥ r2.

    Raises
    ------
    ValueError
        If there are no values, or `bounds` raises it.
    """
    r1, r2 = bounds(temperature, delta1, delta2)
    if not net_values.size:
        raise ValueError(f"fractions: expected net values, got an array of shape {net_values.shape}")
    on = backend.of(net_values)
    magnitude = on.xp.abs(net_values)
    linear = float(on.to_numpy((magnitude <= r1).mean()))
    saturated = float(on.to_numpy((magnitude >= r2).mean()))
    return Fractions(linear, 1 - linear - saturated, saturated)


def temperature_label(temperature: float) -> str:
    """Return a temperature as the study writes it: a power of two below 1 as a fraction, any other number as it is.

    Parameters
    ----------
    temperature : float

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If it is not a finite number above 0.

    Examples
    --------
    >>> [temperature_label(T) for T in (1 / 64, 0.5, 1.0, 16, 0.3)]
    ['1/64', '1/2', '1', '16', '0.3']
    """
    numerator, denominator = float(number("temperature_label", "temperature", temperature, 0)).as_integer_ratio()
    return f"1/{denominator}" if numerator == 1 < denominator else f"{temperature:g}"
