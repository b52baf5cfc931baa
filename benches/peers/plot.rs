//! Grouped bars, as SVG.
use std::{error::Error, path::Path};

use plotters::prelude::*;

const COLOURS: [RGBColor; 4] = [
    RGBColor(38, 84, 124),
    RGBColor(239, 131, 84),
    RGBColor(90, 160, 120),
    RGBColor(170, 120, 170),
];

/// A row of bars for each way, one bar a figure, their values written at their ends. `best` says
/// which end is good.
pub(crate) fn bars(
    path: &Path,
    title: &str,
    best: &str,
    figures: &[&str],
    rows: &[(&str, Vec<f64>)],
) -> Result<(), Box<dyn Error + Send + Sync>> {
    const LEFT: i32 = 190;
    const WIDTH: i32 = 860;
    const BAR: i32 = 16;
    let group = BAR * i32::try_from(figures.len())? + 14;
    let height = 84 + group * i32::try_from(rows.len())?;
    let root =
        SVGBackend::new(path, (u32::try_from(WIDTH)?, u32::try_from(height)?)).into_drawing_area();
    let say = |text: &str, size: i32, at: (i32, i32)| -> Result<(), String> {
        let style = ("sans-serif", size).into_font().color(&RGBColor(40, 40, 40));
        root.draw(&Text::new(text.to_owned(), at, style)).map_err(|error| error.to_string())
    };
    root.fill(&WHITE).map_err(|error| error.to_string())?;
    say(&format!("{title} ({best})"), 18, (12, 10))?;
    for (number, (figure, colour)) in figures.iter().zip(COLOURS).enumerate() {
        let x = 12 + i32::try_from(number)? * 210;
        let square = Rectangle::new([(x, 42), (x + 11, 53)], colour.filled());
        root.draw(&square).map_err(|error| error.to_string())?;
        say(figure, 13, (x + 16, 41))?;
    }
    let most = rows.iter().flat_map(|(_, values)| values).copied().fold(1.0, f64::max);
    let room = f64::from(WIDTH - LEFT - 70);
    // Where a direct connection's bar would end.
    let end = LEFT + (room / most) as i32;
    for (row, (name, values)) in rows.iter().enumerate() {
        let top = 70 + group * i32::try_from(row)?;
        say(name, 14, (12, top + group / 2 - 14))?;
        for (bar, (value, colour)) in values.iter().zip(COLOURS).enumerate() {
            let y = top + BAR * i32::try_from(bar)?;
            let x = LEFT + (value / most * room) as i32;
            let filled = Rectangle::new([(LEFT, y), (x, y + BAR - 3)], colour.filled());
            root.draw(&filled).map_err(|error| error.to_string())?;
            say(&format!("{value:.2}"), 12, (x + 5, y))?;
        }
    }
    if figures != ["KiB"] {
        let line = PathElement::new([(end, 64), (end, height - 12)], BLACK.stroke_width(1));
        root.draw(&line).map_err(|error| error.to_string())?;
    }
    root.present().map_err(|error| error.to_string())?;
    Ok(())
}
