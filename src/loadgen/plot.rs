//! Plot: latency over percentiles of one or several runs, as SVG. On the percentile axis each nine is as wide as the one
//! before. Both axes are logarithmic.

use plotters::prelude::*;

use super::hgrm::Point;
use crate::limits::{BENCH_PLOT_NINES_MAX, BENCH_PLOT_PIXELS};

/// The curve of one run.
#[derive(Clone, Debug)]
pub(crate) struct Curve {
    /// The label in the legend.
    pub label: String,
    /// The percentiles of the run.
    pub points: Vec<Point>,
}

/// Colours that colour-blind readers can tell apart too (Okabe and Ito, without the yellow, which is faint on white).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(0, 0, 0),
];

/// Draws the curves. The error is one line.
pub(crate) fn draw(curves: &[Curve]) -> Result<String, String> {
    let mut svg = String::new();
    draw_into(&mut svg, curves).map_err(|error| error.to_string().replace('\n', " "))?;
    Ok(svg)
}

/// The position of a percentile on the axis: 1 at 0 %, 10 at 90 %, 100 at 99 %.
fn place(quantile: f64, most: f64) -> f64 {
    (1.0 / (1.0 - quantile).max(1e-12)).min(most)
}

fn draw_into(svg: &mut String, curves: &[Curve]) -> Result<(), Box<dyn std::error::Error>> {
    let all = || curves.iter().flat_map(|curve| &curve.points).filter(|point| point.ms > 0.0);
    let us = |point: &Point| point.ms * 1e3;
    let least = all().map(us).fold(f64::INFINITY, f64::min);
    let most = all().map(us).fold(0.0, f64::max);
    if most == 0.0 {
        return Err("there is nothing to draw: no operation was answered".into());
    }
    // The finest percentile that any run has operations for.
    let finest = all().map(|point| point.quantile).filter(|quantile| *quantile < 1.0).fold(0.0, f64::max);
    let nines = (1.0 / (1.0 - finest)).log10().ceil().clamp(1.0, f64::from(BENCH_PLOT_NINES_MAX));
    let right = 10_f64.powf(nines);
    let root = SVGBackend::with_string(svg, BENCH_PLOT_PIXELS).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption("Latency by percentile", ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d(
            (1.0..right).log_scale(),
            (10_f64.powf(least.log10().floor())..10_f64.powf((most * 1.0001).log10().ceil())).log_scale(),
        )?;
    chart
        .configure_mesh()
        .x_desc("percentile")
        .y_desc("latency")
        .x_labels(nines as usize + 1)
        .x_label_formatter(&|place| percent(*place))
        .y_label_formatter(&|us| time(*us))
        .light_line_style(RGBColor(235, 235, 235))
        .bold_line_style(RGBColor(205, 205, 205))
        .label_style(("sans-serif", 14))
        .draw()?;
    for (curve, colour) in curves.iter().zip(COLOURS.iter().cycle()) {
        let points = curve.points.iter().filter(|point| point.ms > 0.0);
        let line = points.map(|point| (place(point.quantile, right), us(point)));
        chart
            .draw_series(LineSeries::new(line, colour.stroke_width(2)))?
            .label(curve.label.clone())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(RGBColor(205, 205, 205))
        .label_font(("sans-serif", 14))
        .draw()?;
    root.present()?;
    Ok(())
}

/// The label of a position: 1 is 0 %, 10 is 90 %, 1000 is 99.9 %.
fn percent(place: f64) -> String {
    let nines = place.log10().round().max(0.0) as usize;
    match nines {
        0 => "0 %".to_owned(),
        1 => "90 %".to_owned(),
        2 => "99 %".to_owned(),
        more => format!("99.{} %", "9".repeat(more - 2)),
    }
}

fn time(us: f64) -> String {
    match us {
        us if us >= 1e6 => format!("{} s", us / 1e6),
        us if us >= 1e3 => format!("{} ms", us / 1e3),
        us => format!("{} µs", (us * 1e3).round() / 1e3),
    }
}
