"""Values that hooks pass on, and the checks of what they are called."""
