"""The exit codes of the scripts that hold a measurement against a target.

A missed target is not 1: an uncaught exception of Python also ends with 1, and a crash must not pass for a measurement.
"""

PASSED = 0
MISSING = 3
"""A tool, a file or a peer is missing or failed: nothing can be said about the targets. (2, a wrong argument, is argparse's.)"""
MISSED = 4
"""Everything was measured, and a target was missed."""
