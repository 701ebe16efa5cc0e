//! The report as one HTML file that needs nothing beside it: `templates/report` with the data put in.
//!
//! [`found`] is what was read of a sweep, [`build`] makes a [`page`] of it, and here that becomes text. Names, parameters and
//! logs are data: they stand in one JSON text that no browser runs, and the page's script shows them as text. A content security
//! policy in the file forbids every other script and all network, should a browser be talked into one.

mod build;
mod curves;
pub mod found;
mod page;

pub use build::build;
pub use page::{Config, Page, Version};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

const PAGE: &str = include_str!("../../../templates/report/page.html");
/// What the file of every report begins with.
pub const BEGIN: &str = "<!doctype html>\n<!-- cw2 report -->\n";
const STYLE: &str = include_str!("../../../templates/report/style.css");

/// The libraries: licence and script.
const LIBRARIES: [(&str, &str); 2] = [
    (
        include_str!("../../../templates/report/vendor/d3.LICENSE"),
        include_str!("../../../templates/report/vendor/d3.min.js"),
    ),
    (
        include_str!("../../../templates/report/vendor/plot.LICENSE"),
        include_str!("../../../templates/report/vendor/plot.min.js"),
    ),
];

/// The page's own script, in the order in which its parts build on each other and the sections follow.
const SCRIPT: &str = concat!(
    include_str!("../../../templates/report/js/base.js"),
    include_str!("../../../templates/report/js/data.js"),
    include_str!("../../../templates/report/js/figure.js"),
    include_str!("../../../templates/report/js/overview.js"),
    include_str!("../../../templates/report/js/results.js"),
    include_str!("../../../templates/report/js/curves.js"),
    include_str!("../../../templates/report/js/parameters.js"),
    include_str!("../../../templates/report/js/failures.js"),
    include_str!("../../../templates/report/js/cost.js"),
    include_str!("../../../templates/report/js/versions.js"),
    include_str!("../../../templates/report/js/main.js"),
);

/// The file's text.
///
/// # Errors
/// Where the data cannot be written as JSON, which none of its types can bring about.
pub fn render(page: &Page) -> serde_json::Result<String> {
    // As `<` it could end the element that it stands in.
    let data = serde_json::to_string(page)?.replace('<', "\\u003c");
    let scripts = LIBRARIES.iter().map(|(licence, script)| format!("/*!\n{}\n*/\n{script}", licence.trim_end()));
    let scripts: Vec<String> = scripts.chain([SCRIPT.to_owned()]).collect();
    let mut policy = "default-src 'none'; script-src".to_owned();
    for script in &scripts {
        let _ = write!(policy, " 'sha256-{}'", STANDARD.encode(Sha256::digest(script)));
    }
    // Plot writes a style sheet into every plot. Without a source for anything it could load, that is harmless.
    policy.push_str("; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'");
    let elements: Vec<String> = scripts.iter().map(|script| format!("<script>{script}</script>")).collect();
    let parts = [
        ("CSP", policy.as_str()),
        ("GENERATOR", &format!("cw2 {}", page.cw2)),
        ("TITLE", &escaped(&page.title)),
        ("STYLE", STYLE),
        ("DATA", &data),
        ("SCRIPTS", &elements.join("\n")),
    ];
    Ok(fill(PAGE, &parts))
}

/// Puts each part in the place of its `@NAME@`, in the order they stand in: what was put in is not looked at again.
fn fill(template: &str, parts: &[(&str, &str)]) -> String {
    let mut text = String::with_capacity(template.len() + parts.iter().map(|(_, part)| part.len()).sum::<usize>());
    let mut rest = template;
    for (name, part) in parts {
        if let Some((before, after)) = rest.split_once(&format!("@{name}@")) {
            text.push_str(before);
            text.push_str(part);
            rest = after;
        }
    }
    text.push_str(rest);
    text
}

/// Text that HTML shows as it is.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_data_holds_ends_no_element_and_fills_no_place() {
        let hostile = "</script><script>alert(1)</script><!-- @SCRIPTS@ \u{2028} &amp;";
        let page = Page { title: hostile.to_owned(), notes: vec![hostile.to_owned()], ..Page::default() };
        let text = render(&page).unwrap();
        assert_eq!(text.matches("<script").count(), 4, "the data, two libraries and the page's own");
        assert!(!text.contains("alert(1)</script>"));
        assert!(text.contains("<title>&lt;/script&gt;&lt;script&gt;alert(1)"));
        let data = text.split("id=\"data\">").nth(1).unwrap().split("</script>").next().unwrap();
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(data["notes"][0], hostile);
    }

    #[test]
    fn every_place_is_filled_and_the_policy_knows_every_script() {
        let text = render(&Page::default()).unwrap();
        assert!(text.starts_with(BEGIN));
        for name in ["@CSP@", "@GENERATOR@", "@TITLE@", "@STYLE@", "@DATA@", "@SCRIPTS@"] {
            assert!(!text.contains(name), "{name}");
        }
        let policy = text.split("Content-Security-Policy\" content=\"").nth(1).unwrap().split('"').next().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
        assert!(!policy.contains("eval") && !policy.contains("http"), "{policy}");
        let scripts: Vec<&str> =
            text.split("<script>").skip(1).map(|rest| rest.split("</script>").next().unwrap()).collect();
        assert_eq!(scripts.len(), 3);
        for script in scripts {
            assert!(policy.contains(&STANDARD.encode(Sha256::digest(script))));
        }
        assert!(text.contains("THE SOFTWARE IS PROVIDED \"AS IS\""), "the licences go along");
        assert!(text.len() < 700_000, "{}", text.len());
    }
}
