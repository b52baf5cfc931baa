//! Medians and their spread.

/// The value below which this part (0 to 1) of them lies; 0 without values.
pub fn part(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    // Truncated on purpose: an index.
    sorted.get((last as f64 * part) as usize).copied().unwrap_or_default()
}

/// The middle value.
pub fn median(values: &[f64]) -> f64 {
    part(values, 0.5)
}

/// `1.02 (0.98-1.05)`: the middle value and the quartiles.
pub fn spread(values: &[f64]) -> String {
    format!("{:.2} ({:.2}-{:.2})", median(values), part(values, 0.25), part(values, 0.75))
}
