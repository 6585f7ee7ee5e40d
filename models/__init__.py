"""The networks: encoders, fusion and output heads."""
