"""What one lesson alone needs, one module per lesson, and in `shared.py` what two of them need."""
