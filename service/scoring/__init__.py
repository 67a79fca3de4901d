"""One firm or all: features, the live model, and one append-only row a score."""
