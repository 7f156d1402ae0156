//! Plots as SVG, in the few shapes that benchmarks and simulations need: lines over a linear or a logarithmic axis.

use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 84.0;
/// Marks on a linear axis, about.
const MARKS: f64 = 5.0;
/// Colours that can be told apart also by people who see few, and on a light and a dark page.
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

/// One plot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plot {
    /// The file's name without its ending.
    pub name: String,
    /// What stands above it.
    pub title: String,
    /// The axis across.
    pub x: Axis,
    /// The axis up.
    pub y: Axis,
    /// The lines.
    pub series: Vec<Series>,
}

/// One axis.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Axis {
    /// What is measured, and in what.
    pub label: String,
    /// Whether equal steps are equal factors; then values must be above 0.
    pub logarithmic: bool,
}

/// One line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Series {
    /// What the legend says.
    pub name: String,
    /// Across and up.
    pub points: Vec<(f64, f64)>,
}

/// An axis' stretch of values, and the values that are marked on it.
struct Scale {
    from: f64,
    to: f64,
    logarithmic: bool,
    marks: Vec<f64>,
}

impl Axis {
    /// An axis on which equal steps are equal differences.
    pub fn linear(label: &str) -> Self {
        Self { label: label.to_owned(), logarithmic: false }
    }

    /// An axis on which equal steps are equal factors.
    pub fn logarithmic(label: &str) -> Self {
        Self { label: label.to_owned(), logarithmic: true }
    }

    fn scale(&self, values: impl Iterator<Item = f64>) -> Scale {
        let drawable = |value: &f64| value.is_finite() && (!self.logarithmic || *value > 0.0);
        let (least, most) =
            values.filter(drawable).fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), v| (least.min(v), most.max(v)));
        let (least, most) = if least <= most { (least, most) } else { (1.0, 10.0) };
        if self.logarithmic {
            let (from, to) = (least.log10().floor() as i32, (most.log10().ceil() as i32).max(least.log10().floor() as i32 + 1));
            let marks: Vec<f64> = (from..=to).map(|exponent| 10f64.powi(exponent)).collect();
            return Scale { from: f64::from(from), to: f64::from(to), logarithmic: true, marks };
        }
        let most = if most > 0.0 { most } else { 1.0 };
        let rough = most / MARKS;
        let unit = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * unit).into_iter().find(|step| *step >= rough).unwrap_or(rough);
        let count = (most / step).ceil() as usize;
        Scale { from: 0.0, to: step * count as f64, logarithmic: false, marks: (0..=count).map(|at| at as f64 * step).collect() }
    }
}

impl Scale {
    /// Where a value lies, from 0 to 1.
    fn share(&self, value: f64) -> f64 {
        let value = if self.logarithmic { value.max(f64::MIN_POSITIVE).log10() } else { value };
        ((value - self.from) / (self.to - self.from)).clamp(0.0, 1.0)
    }
}

impl Plot {
    /// The picture.
    pub fn to_svg(&self) -> String {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let (across, up) = (self.x.scale(points().map(|point| point.0)), self.y.scale(points().map(|point| point.1)));
        let x = |value: f64| LEFT + across.share(value) * (WIDTH - LEFT - RIGHT);
        let y = |value: f64| HEIGHT - BOTTOM - up.share(value) * (HEIGHT - TOP - BOTTOM);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"system-ui, sans-serif\" \
             font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
             <text x=\"{LEFT}\" y=\"24\" font-size=\"15\" font-weight=\"600\" fill=\"#222222\">{}</text>\n",
            escaped(&self.title)
        );
        let mut draw = |element: String| svg.push_str(&(element + "\n"));
        for &mark in &up.marks {
            let at = y(mark);
            draw(format!("<path d=\"M{LEFT} {at:.1}H{:.1}\" stroke=\"#dddddd\"/>", WIDTH - RIGHT));
            draw(format!(
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#444444\">{}</text>",
                LEFT - 8.0,
                at + 4.0,
                shown(mark)
            ));
        }
        for &mark in &across.marks {
            let (at, below) = (x(mark), HEIGHT - BOTTOM + 18.0);
            draw(format!("<text x=\"{at:.1}\" y=\"{below:.1}\" text-anchor=\"middle\" fill=\"#444444\">{}</text>", shown(mark)));
        }
        let (middle, foot) = (HEIGHT / 2.0 - 20.0, HEIGHT - BOTTOM + 38.0);
        draw(format!(
            "<text x=\"{:.1}\" y=\"{foot:.1}\" text-anchor=\"middle\" fill=\"#222222\">{}</text>",
            (LEFT + WIDTH - RIGHT) / 2.0,
            escaped(&self.x.label)
        ));
        draw(format!(
            "<text transform=\"translate(18 {middle:.1}) rotate(-90)\" text-anchor=\"middle\" fill=\"#222222\">{}</text>",
            escaped(&self.y.label)
        ));
        let mut legend = LEFT;
        for (series, colour) in self.series.iter().zip(COLOURS.iter().cycle()) {
            let mut path = String::new();
            for (number, &(across, up)) in series.points.iter().enumerate() {
                let _ = write!(path, "{}{:.1} {:.1}", if number == 0 { 'M' } else { 'L' }, x(across), y(up));
                draw(format!("<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.5\" fill=\"{colour}\"/>", x(across), y(up)));
            }
            draw(format!("<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"));
            let line = HEIGHT - 18.0;
            draw(format!("<rect x=\"{legend:.1}\" y=\"{:.1}\" width=\"18\" height=\"4\" fill=\"{colour}\"/>", line - 6.0));
            draw(format!("<text x=\"{:.1}\" y=\"{line:.1}\" fill=\"#222222\">{}</text>", legend + 24.0, escaped(&series.name)));
            legend += 48.0 + 7.5 * series.name.chars().count() as f64;
        }
        svg + "</svg>\n"
    }
}

/// A mark's value in few characters.
fn shown(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 1e6 => format!("{} M", value / 1e6),
        size if size >= 1e3 => format!("{} k", value / 1e3),
        size if size >= 10.0 => format!("{value:.0}"),
        _ => format!("{}", (value * 1e4).round() / 1e4),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(logarithmic: bool) -> Plot {
        let axis = |label: &str| Axis { label: label.to_owned(), logarithmic };
        let series =
            Series { name: "bytes < 5 & more".to_owned(), points: vec![(100.0, 1.0), (1_000.0, 10.0), (10_000.0, 100.0)] };
        Plot {
            name: "growth".to_owned(),
            title: "Growth".to_owned(),
            x: axis("documents"),
            y: axis("bytes"),
            series: vec![series],
        }
    }

    /// Equal factors are equal steps on logarithmic axes, and not on others.
    #[test]
    fn points_lie_where_their_axis_says() {
        let steps = |plot: &Plot| -> Vec<f64> {
            let scale = plot.x.scale(plot.series[0].points.iter().map(|point| point.0));
            plot.series[0].points.windows(2).map(|pair| scale.share(pair[1].0) - scale.share(pair[0].0)).collect()
        };
        let (even, uneven) = (steps(&plot(true)), steps(&plot(false)));
        assert!((even[0] - even[1]).abs() < 1e-9, "{even:?}");
        assert!(uneven[1] > 5.0 * uneven[0], "{uneven:?}");
    }

    #[test]
    fn words_of_a_plot_are_not_taken_for_marks_of_its_format() {
        let svg = plot(true).to_svg();
        assert!(svg.contains("bytes &lt; 5 &amp; more") && !svg.contains("NaN"), "{svg}");
    }

    #[test]
    fn nothing_to_draw_is_drawn_too() {
        let mut empty = plot(true);
        empty.series.clear();
        assert!(!empty.to_svg().contains("NaN"));
    }
}
