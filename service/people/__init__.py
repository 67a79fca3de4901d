"""Natural persons behind firms: encrypted, masked, found by keyed hash, erasable; their consents and records."""
