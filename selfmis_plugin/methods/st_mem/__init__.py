"""ST-MEM: one masked autoencoder over the patches of all twelve leads
(Na et al., "Guiding Masked Representation Learning to Capture Spatio-Temporal Relationship of
Electrocardiogram", ICLR 2024, arXiv 2402.09450).

Written from a description of the method; none of its authors' code or weights is here.
"""
