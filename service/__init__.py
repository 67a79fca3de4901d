"""Everything with a side effect: HTTP, the command line, the database."""
