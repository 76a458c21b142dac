"""CycleGAN for ECG leads (Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent
Adversarial Networks", 2017), as EKGAN's authors built it."""
