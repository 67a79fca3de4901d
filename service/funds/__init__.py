"""Guarantee funds: which loans they guarantee, and what the banks let them see."""
