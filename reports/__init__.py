"""Reports: a `Report` value as JSON, Markdown, HTML and plots."""
