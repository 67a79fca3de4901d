"""What is known about firms: the ledger of canonical observations."""
