"""What a loan officer has to look at, raised once."""
