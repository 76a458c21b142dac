"""What age and sex say of an infarction without any ECG: what a network of ECGs has to add to."""
