"""The report of a build: figures from its datasets, charts from the figures, one page from both."""
