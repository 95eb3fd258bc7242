"""Gradients: compared with numerical ones (`check`, `causes`) and traced layer by layer (`trace`)."""
