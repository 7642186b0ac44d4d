//! A picture of figures in benches/record, as SVG.

use std::collections::HashMap;
use std::fmt::Write;
use std::fs;

use crate::workload::WORKLOADS;

/// What a workload is called, and what is drawn of it.
const ROWS: [(&str, &str); 14] = [
    ("get_c50", "GET, 50 clients"),
    ("set_c50", "SET, 50 clients"),
    ("get_c512", "GET, 512 clients"),
    ("get_p16", "GET, pipelines of 16"),
    ("set_p16", "SET, pipelines of 16"),
    ("mget10", "MGET of 10 keys"),
    ("mget100", "MGET of 100 keys"),
    ("mset10", "MSET of 10 keys"),
    ("get_64k", "GET of 64 KiB"),
    ("set_64k", "SET of 64 KiB"),
    ("get_1m", "GET of 1 MiB"),
    ("set_1m", "SET of 1 MiB"),
    ("mc_get_c50", "memcached get"),
    ("mc_mget100", "memcached get of 100 keys"),
];

/// One half of the picture: how much of what nutcracker has.
struct Panel {
    title: &'static str,
    subtitle: &'static str,
    metric: &'static str,
    /// The absolute figure, its unit, and how many of the recorded ones make one of that.
    absolute: (&'static str, &'static str, f64),
    left: f64,
    /// Pixels for the longest bar, and at most for that of nutcracker.
    width: f64,
    one: f64,
}

const PANELS: [Panel; 2] = [
    Panel {
        title: "Processor time of a request",
        subtitle: "nutcracker = 1, less is better (ours : nutcracker's)",
        metric: "ratio of cpu times",
        absolute: ("cpu time", "µs", 1e3),
        left: 200.0,
        width: 240.0,
        one: 200.0,
    },
    Panel {
        title: "Requests a second",
        subtitle: "nutcracker = 1, more is better (ours : nutcracker's)",
        metric: "ratio of throughputs",
        absolute: ("throughput", "k/s", 1e3),
        left: 545.0,
        width: 220.0,
        one: 100.0,
    },
];

const WIDTH: f64 = 890.0;
const TOP: f64 = 86.0;
const ROW: f64 = 24.0;
const BAR: f64 = 16.0;

const INK: &str = "#24292f";
const PALE: &str = "#6e7781";
const OURS: &str = "#2a6fbb";
const LINE: &str = "#d1495b";

/// The last figures of each workload, and where and when the last of them was measured.
#[derive(Default)]
struct Record {
    figures: HashMap<(String, String), f64>,
    measured: String,
}

/// Prints the picture of what these files say; the later ones count.
pub fn print(files: &[String]) -> Result<(), String> {
    let mut record = Record::default();
    for file in files {
        let text = fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
        text.lines().for_each(|line| record.add(line));
    }
    let picture = record.picture().map_err(|_| "cannot format".to_owned())?;
    print!("{}", picture.ok_or("there are no figures of the proxy")?);
    Ok(())
}

impl Record {
    /// A line is `date,commit,name,metric,value,unit,machine`.
    fn add(&mut self, line: &str) {
        let Ok([date, commit, name, metric, value, _, machine]) =
            <[&str; 7]>::try_from(line.splitn(7, ',').collect::<Vec<_>>())
        else {
            return;
        };
        if let (Some(name), Ok(value)) = (name.strip_prefix("proxy/"), value.parse()) {
            self.figures.insert((name.to_owned(), metric.to_owned()), value);
            if WORKLOADS.iter().any(|workload| workload.name == name) {
                self.measured = format!("{date}, {commit}, {machine}");
            }
        }
    }

    fn figure(&self, name: &str, metric: &str) -> Option<f64> {
        self.figures.get(&(name.to_owned(), metric.to_owned())).copied()
    }

    /// None, if there is nothing to draw.
    fn picture(&self) -> Result<Option<String>, std::fmt::Error> {
        let rows = ROWS.iter().filter(|(name, _)| self.figure(name, PANELS[0].metric).is_some());
        let rows: Vec<_> = rows.collect();
        if rows.is_empty() {
            return Ok(None);
        }
        let bottom = TOP + ROW * rows.len() as f64;
        let height = bottom + 34.0;
        let mut svg = String::new();
        writeln!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
             height=\"{height}\" font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\" fill=\"{INK}\">"
        )?;
        writeln!(svg, "<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>")?;
        writeln!(
            svg,
            "<text x=\"16\" y=\"26\" font-size=\"16\" font-weight=\"bold\">shardwright-proxy next to nutcracker</text>"
        )?;
        for (place, (_, label)) in rows.iter().enumerate() {
            let y = baseline(place);
            writeln!(svg, "<text x=\"190\" y=\"{y}\" text-anchor=\"end\">{label}</text>")?;
        }
        for panel in &PANELS {
            let names: Vec<_> = rows.iter().map(|(name, _)| *name).collect();
            self.draw(panel, &names, bottom, &mut svg)?;
        }
        let y = height - 10.0;
        writeln!(
            svg,
            "<text x=\"16\" y=\"{y}\" font-size=\"10\" fill=\"{PALE}\">{}</text>",
            escaped(&self.measured)
        )?;
        writeln!(svg, "</svg>")?;
        Ok(Some(svg))
    }

    fn draw(
        &self,
        panel: &Panel,
        names: &[&str],
        bottom: f64,
        svg: &mut String,
    ) -> std::fmt::Result {
        let Panel { title, subtitle, metric, absolute: (of, unit, unit_size), left, width, one } =
            panel;
        let ratios = names.iter().filter_map(|name| self.figure(name, metric));
        let one = one.min(width / ratios.fold(1.0, f64::max));
        writeln!(svg, "<text x=\"{left}\" y=\"54\" font-weight=\"bold\">{title}</text>")?;
        writeln!(svg, "<text x=\"{left}\" y=\"70\" fill=\"{PALE}\">{subtitle}</text>")?;
        for (place, name) in names.iter().enumerate() {
            let Some(ratio) = self.figure(name, metric) else { continue };
            let (y, width) = (TOP + ROW * place as f64, ratio * one);
            writeln!(
                svg,
                "<rect x=\"{left}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"2\" fill=\"{OURS}\"/>"
            )?;
            let (x, y) = (left + width.max(one) + 6.0, baseline(place));
            write!(svg, "<text x=\"{x:.1}\" y=\"{y}\">{ratio:.2}")?;
            let others = format!("{of} of nutcracker in the same rounds");
            if let (Some(own), Some(its)) = (self.figure(name, of), self.figure(name, &others)) {
                let (own, its) = (short(own / unit_size), short(its / unit_size));
                write!(
                    svg,
                    " <tspan fill=\"{PALE}\" font-size=\"10\">{own} : {its} {unit}</tspan>"
                )?;
            }
            writeln!(svg, "</text>")?;
        }
        let x = left + one;
        writeln!(
            svg,
            "<path d=\"M{x} {} V{bottom}\" stroke=\"{LINE}\" stroke-width=\"1.5\"/>",
            TOP - 6.0
        )
    }
}

fn baseline(row: usize) -> f64 {
    TOP + ROW * row as f64 + 12.5
}

/// Three digits.
fn short(figure: f64) -> String {
    match figure {
        0.0..10.0 => format!("{figure:.2}"),
        10.0..100.0 => format!("{figure:.1}"),
        _ => format!("{figure:.0}"),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
