"""What one lesson alone needs, a module for each; what two of them need is in `shared.py`."""
