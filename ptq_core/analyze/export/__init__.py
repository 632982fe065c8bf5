"""The files of an analysis: JSON, CSV, the HTML page."""
