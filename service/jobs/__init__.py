"""Work that is done later, by a worker, and survives crashes."""
