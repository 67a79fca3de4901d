"""What industrial associations do about members, and what peers report of each other."""
