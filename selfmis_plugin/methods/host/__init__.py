"""The methods that fairseq-signals itself brings, and what judges their encoders."""
