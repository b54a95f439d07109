"""Read raw datasets as published: manifests, archives, one module a dataset."""
