"""Twelve leads made from lead I: MCMA, EKGAN, Pix2Pix and CycleGAN, and what stands beside them.

Written from descriptions of the methods; none of their authors' code or weights is here.
"""
