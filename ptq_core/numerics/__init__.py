"""The arithmetic of docs/numerics.md in NumPy: what everything else must agree with."""
