"""What a scene of the player is made of, by name, for whoever leads there and has no torch: the lecture's server."""

SIZES = {"unit step": 0.3, "sign step": 0.25, "PGD within 8 grey levels": 1.0, "Adam": 0.25}  # a method's usual step
NOISE, GREY = BLANKS = ("noise", "grey")
