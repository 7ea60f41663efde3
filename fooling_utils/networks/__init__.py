"""Trained networks that come with a package, and small ones that train in seconds."""
