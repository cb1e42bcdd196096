"""The built-in plugins beside the curriculum's: plugins like everybody else's, found through their entry points."""
