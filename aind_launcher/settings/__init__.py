"""Settings: the layers they come from, environment variables, and their schema."""
