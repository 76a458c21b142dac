"""MCMA: one U-Net that makes twelve leads of any one (Chen et al., "Multi-Channel Masked
Autoencoder and Comprehensive Evaluations for Reconstructing 12-Lead ECG from Arbitrary Single-Lead
ECG", npj Cardiovascular Health 1:34, 2024, arXiv 2407.11481)."""
