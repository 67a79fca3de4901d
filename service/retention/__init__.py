"""How long rows of the growing ledgers are kept, and their going."""
