"""`ptq analyze`: which operators cost accuracy, why, and which to leave in float."""
