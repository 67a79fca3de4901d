"""Documents about firms: files sealed under keys of their own, and the observations that name them by their hash."""
