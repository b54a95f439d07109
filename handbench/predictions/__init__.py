"""One file a model: predictions of format 1, read, checked and written."""
