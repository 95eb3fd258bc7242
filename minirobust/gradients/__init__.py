"""Gradients: checked against numerical ones (`check`, `causes`) and looked at layer by layer (`trace`)."""
