"""A firm's credit history as a signed document that proves itself."""
