"""ECG-FM's published encoder, of the W2V-CMSC family (McKeen et al., arXiv 2408.05178)."""
