//! Grouped bars and curves, as SVG.
use std::{error::Error, path::Path};

use plotters::{coord::Shift, prelude::*};

use super::Spread;
use crate::growth::{Growth, Line};

type Failure = Box<dyn Error + Send + Sync>;
type Area<'p> = DrawingArea<SVGBackend<'p>, Shift>;

const COLOURS: [RGBColor; 4] = [
    RGBColor(38, 84, 124),
    RGBColor(239, 131, 84),
    RGBColor(90, 160, 120),
    RGBColor(170, 120, 170),
];
const INK: RGBColor = RGBColor(40, 40, 40);
const WIDTH: u32 = 900;

/// A row of bars for each way, one bar a figure.
pub(super) struct Bars<'a> {
    pub(super) title: &'a str,
    pub(super) figures: &'a [&'a str],
    /// The bar ends at the middle value, and a thin line shows the quartiles.
    pub(super) rows: &'a [(&'a str, Vec<Option<Spread>>)],
    /// A vertical line: what a direct connection has.
    pub(super) line_at: Option<f64>,
    pub(super) digits: usize,
}

pub(super) fn bars(path: &Path, bars: &Bars<'_>) -> Result<(), Failure> {
    const LEFT: i32 = 180;
    const BAR: i32 = 16;
    let group = BAR * i32::try_from(bars.figures.len())? + 14;
    let height = 84 + group * i32::try_from(bars.rows.len())?;
    let root = SVGBackend::new(path, (WIDTH, u32::try_from(height)?)).into_drawing_area();
    root.fill(&WHITE)?;
    say(&root, bars.title, 18, (12, 10))?;
    for (number, (figure, colour)) in bars.figures.iter().zip(COLOURS).enumerate() {
        let x = 12 + i32::try_from(number)? * 190;
        root.draw(&Rectangle::new([(x, 42), (x + 11, 53)], colour.filled()))?;
        say(&root, figure, 13, (x + 16, 41))?;
    }
    let most = bars.rows.iter().flat_map(|(_, values)| values).flatten();
    let most = most.map(|spread| spread.high).fold(bars.line_at.unwrap_or(0.0), f64::max);
    // Room for the number behind the longest bar.
    let room = f64::from(WIDTH) - f64::from(LEFT) - 80.0;
    let x_of = |value: f64| LEFT + (value / most.max(f64::MIN_POSITIVE) * room) as i32;
    for (row, (name, values)) in bars.rows.iter().enumerate() {
        let top = 70 + group * i32::try_from(row)?;
        say(&root, name, 14, (12, top + (group - 14) / 2 - 8))?;
        for (bar, (value, colour)) in values.iter().zip(COLOURS).enumerate() {
            let y = top + BAR * i32::try_from(bar)?;
            let Some(Spread { low, middle, high }) = *value else {
                say(&root, "not measured", 12, (LEFT + 5, y))?;
                continue;
            };
            let bar = [(LEFT, y), (x_of(middle), y + BAR - 3)];
            root.draw(&Rectangle::new(bar, colour.filled()))?;
            let level = y + (BAR - 3) / 2;
            let quartiles = [(x_of(low), level), (x_of(high), level)];
            root.draw(&PathElement::new(quartiles, INK.stroke_width(1)))?;
            let digits = bars.digits;
            let end = x_of(middle.max(high)) + 5;
            say(&root, &format!("{middle:.digits$}"), 12, (end, y))?;
        }
    }
    if let Some(at) = bars.line_at {
        let line = [(x_of(at), 64), (x_of(at), height - 12)];
        root.draw(&PathElement::new(line, BLACK.stroke_width(1)))?;
        say(&root, "direct", 11, (x_of(at) + 3, height - 14))?;
    }
    root.present()?;
    Ok(())
}

/// A line of percentiles.
pub(super) struct Curve<'a> {
    pub(super) name: &'a str,
    pub(super) colour: (u8, u8, u8),
    /// Of each percentile from 0 on.
    pub(super) at: Vec<f64>,
}

/// Percentiles from left to right, values upwards, each decade as high as the next.
pub(super) fn curves(path: &Path, title: &str, curves: &[Curve<'_>]) -> Result<(), Failure> {
    let root = SVGBackend::new(path, (WIDTH, 460)).into_drawing_area();
    root.fill(&WHITE)?;
    say(&root, title, 18, (12, 10))?;
    // The least and the largest of all are single events, and would press the rest together.
    let points = |curve: &Curve<'_>| -> Vec<(f64, f64)> {
        let numbered = curve.at.iter().enumerate().skip(1).take(99);
        numbered.filter(|(_, y)| **y > 0.0).map(|(x, y)| (x as f64, *y)).collect()
    };
    let all: Vec<f64> = curves.iter().flat_map(points).map(|(_, y)| y).collect();
    let low = all.iter().copied().fold(f64::INFINITY, f64::min);
    let high = all.iter().copied().fold(0.0, f64::max);
    if all.is_empty() {
        say(&root, "not measured", 14, (12, 50))?;
        root.present()?;
        return Ok(());
    }
    let mut chart = ChartBuilder::on(&root)
        .margin(12)
        .margin_top(40)
        .x_label_area_size(34)
        .y_label_area_size(54)
        .build_cartesian_2d(0.0..100.0, (low * 0.8..high * 1.2).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(RGBColor(238, 238, 238))
        .x_desc("percentile")
        .y_desc("microseconds")
        .label_style(("sans-serif", 13))
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{y:.0}"))
        .draw()?;
    for curve in curves {
        let (red, green, blue) = curve.colour;
        let colour = RGBColor(red, green, blue);
        chart
            .draw_series(LineSeries::new(points(curve), colour.stroke_width(2)))?
            .label(curve.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(3)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(200, 200, 200))
        .label_font(("sans-serif", 13))
        .draw()?;
    root.present()?;
    Ok(())
}

/// Sizes from left to right, each ten times as far as the one before; values upwards from zero.
pub(super) fn growth(path: &Path, growth: &Growth) -> Result<(), Failure> {
    let root = SVGBackend::new(path, (WIDTH, 380)).into_drawing_area();
    root.fill(&WHITE)?;
    say(&root, growth.title, 18, (12, 10))?;
    let points = |line: &Line| -> Vec<(f64, Spread)> {
        let point =
            |(size, values): &(u32, Vec<f64>)| Some((f64::from(*size), Spread::of(values)?));
        line.points.iter().filter_map(point).collect()
    };
    let all: Vec<(f64, Spread)> = growth.lines.iter().flat_map(points).collect();
    let right = all.iter().map(|(x, _)| *x).fold(1.0, f64::max);
    let left = all.iter().map(|(x, _)| *x).fold(right, f64::min);
    let most = all.iter().map(|(_, spread)| spread.high).fold(0.0, f64::max);
    if all.is_empty() {
        say(&root, "not measured", 14, (12, 50))?;
        root.present()?;
        return Ok(());
    }
    let mut chart = ChartBuilder::on(&root)
        .margin(12)
        .margin_top(40)
        .x_label_area_size(34)
        .y_label_area_size(54)
        .build_cartesian_2d((left * 0.8..right * 1.25).log_scale(), 0.0..most * 1.25)?;
    chart
        .configure_mesh()
        .light_line_style(RGBColor(238, 238, 238))
        .x_desc(growth.of)
        .y_desc(growth.unit)
        .label_style(("sans-serif", 13))
        .x_label_formatter(&|x| format!("{x:.0}"))
        .draw()?;
    for (line, colour) in growth.lines.iter().zip(COLOURS) {
        let at = points(line);
        let middles = at.iter().map(|(x, spread)| (*x, spread.middle));
        chart
            .draw_series(LineSeries::new(middles, colour.stroke_width(2)).point_size(3))?
            .label(line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(3)));
        let quartiles = at
            .iter()
            .map(|(x, spread)| PathElement::new([(*x, spread.low), (*x, spread.high)], colour));
        chart.draw_series(quartiles)?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(200, 200, 200))
        .label_font(("sans-serif", 13))
        .draw()?;
    root.present()?;
    Ok(())
}

fn say(root: &Area<'_>, text: &str, size: i32, at: (i32, i32)) -> Result<(), Failure> {
    let style = ("sans-serif", size).into_font().color(&INK);
    root.draw(&Text::new(text.to_owned(), at, style))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_is_written_into_the_plot_and_holes_are_told() {
        let folder = std::env::temp_dir().join(format!("egress-plots-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("a.svg");
        let spread = Spread { low: 0.4, middle: 0.52, high: 0.6 };
        let rows = [("one way", vec![Some(spread), None])];
        let figures = ["down", "up"];
        let title = "Title";
        bars(&file, &Bars { title, figures: &figures, rows: &rows, line_at: Some(1.0), digits: 2 })
            .unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        for words in ["Title", "one way", "0.52", "not measured", "direct"] {
            assert!(text.contains(words), "{words} is not in\n{text}");
        }
        let at = (0..=100).map(|n| f64::from(n) + 20.0).collect();
        curves(&file, "Curves", &[Curve { name: "another way", colour: (1, 2, 3), at }]).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains("another way") && text.contains("percentile"), "{text}");
        curves(&file, "Nothing", &[]).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
