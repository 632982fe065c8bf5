"""A bench report for other readers: CSV, Markdown, and an HTML page with charts."""
