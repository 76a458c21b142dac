"""W2V-CMSC with random lead masking, which fairseq-signals trains (Oh et al., CHIL 2022)."""
