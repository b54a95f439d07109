"""The one file a dataset: format 1.0, written, read, verified."""
