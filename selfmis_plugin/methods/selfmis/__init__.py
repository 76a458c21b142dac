"""SelfMIS: one lead is placed where a frozen multi-lead encoder places the whole record."""
