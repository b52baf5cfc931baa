//! Medians and their spread.

/// The value below which this part (0 to 1) of them lies, between two neighbours where it has to be; 0
/// without values.
pub fn part(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = sorted.len().saturating_sub(1) as f64 * part;
    let at = |place: f64| sorted.get(place as usize).copied().unwrap_or_default();
    let (low, high) = (at(place.floor()), at(place.ceil()));
    low + (high - low) * place.fract()
}

/// The middle value.
pub fn median(values: &[f64]) -> f64 {
    part(values, 0.5)
}

/// `1.02 (0.98-1.05)`: the middle value and the quartiles.
pub fn spread(values: &[f64]) -> String {
    format!("{:.2} ({:.2}-{:.2})", median(values), part(values, 0.25), part(values, 0.75))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_may_lie_between_two_values() {
        assert_eq!(part(&[3.0, 1.0, 2.0], 0.75), 2.5);
        assert_eq!(part(&[4.0, 1.0], 0.5), 2.5);
        assert_eq!(part(&[1.0, 2.0], 1.0), 2.0);
        assert_eq!(median(&[5.0]), 5.0);
        assert_eq!(median(&[]), 0.0);
    }
}
