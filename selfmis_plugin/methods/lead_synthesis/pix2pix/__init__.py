"""Pix2Pix for ECG leads (Isola et al., "Image-to-Image Translation with Conditional Adversarial
Networks", 2017), as EKGAN's authors built it."""
