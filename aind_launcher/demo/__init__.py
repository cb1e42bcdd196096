"""The demo: a task repository with a simulated animal, made from templates and then run like any other."""
