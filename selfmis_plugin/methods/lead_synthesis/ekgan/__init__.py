"""EKGAN: a generator taught by a discriminator and by the code of a second U-Net (Joo et al.,
"Twelve-Lead ECG Reconstruction from Single-Lead Signals Using Generative Adversarial Networks",
MICCAI 2023)."""
