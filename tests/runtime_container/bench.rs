//! Measurements, by hand.
