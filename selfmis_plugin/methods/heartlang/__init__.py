"""HeartLang: heartbeats as the words of sentences (Jin et al., "Reading Your Heart: Learning ECG
Words and Sentences via Pre-training ECG Language Model", ICLR 2025, arXiv 2502.10707)."""
