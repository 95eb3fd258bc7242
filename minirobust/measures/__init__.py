"""What is measured on a network: activation regimes, robustness, input gradients, and their intervals."""
