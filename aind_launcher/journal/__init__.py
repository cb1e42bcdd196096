"""The durable record of every step of every session on this machine."""
