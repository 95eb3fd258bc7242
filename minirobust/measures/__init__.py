"""Measurements on a network: activation regimes, robustness, input gradients, and confidence intervals."""
