"""Can it be mended? Transforms in front of a network, votes with a proof, and what an attack leaves of the accuracy."""
