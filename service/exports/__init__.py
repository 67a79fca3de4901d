"""What the ledger knows, back out in the kinds that it came in: CSV, XLSX, NDJSON, Parquet."""
