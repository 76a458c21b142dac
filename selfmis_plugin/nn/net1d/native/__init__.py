"""The encoder's convolutions in C++, compiled at their first use."""
