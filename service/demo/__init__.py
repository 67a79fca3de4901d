"""The demo: a made-up cluster economy whose true default probabilities are known."""
