"""The record of every change, which an outsider can verify without trusting who keeps it."""
