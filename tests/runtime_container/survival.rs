//! Adoption, reboots, crashes.
