"""From the ledger to fitted models, and which of them is live."""
