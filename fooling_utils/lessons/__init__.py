"""What only one lesson needs, in one module per lesson; `shared.py` holds what two of them need."""
