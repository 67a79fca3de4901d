"""Every firm of a tenant, in chunks that finish once."""
