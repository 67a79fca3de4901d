"""The door by which files come in: canonical kinds as they are, other sources through an adapter."""
