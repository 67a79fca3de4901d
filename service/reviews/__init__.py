"""What a person decides, within limits, where a machine may not or should not."""
