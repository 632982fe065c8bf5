"""The one version number: of the Python package, of the tool named in files, of the C library."""

VERSION = "0.2.0"
