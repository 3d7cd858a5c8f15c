"""How results are shown: plots as PNG files, reports as Markdown and HTML."""
