"""The decoders of modally reduced representations as a generator: each makes its lead of the code
of lead I (Ibtehaz and Mortazavi, 2024)."""
