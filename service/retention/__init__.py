"""How long rows of the growing ledgers are kept, and their going; what a restore must not bring back."""
