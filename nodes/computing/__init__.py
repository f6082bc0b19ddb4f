"""Executing layers at a device's pace, in whichever process."""
