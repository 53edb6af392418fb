"""Networks that rate a pair of scans, by name, and where their feature cells lie in the scan."""
