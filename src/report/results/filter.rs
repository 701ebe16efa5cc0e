//! `--where`: an expression over parameters, in the language of templates.

use super::choice::instead;
use super::params;
use crate::jinja::size;
use crate::jinja::to_jinja;
use crate::store::gather::Run;
use crate::value::Value;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::LazyLock;

/// The most steps that an expression may take for one run.
const FUEL: u64 = 100_000;

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment
});

/// The runs that an expression is true of, by their places. Where a run has not got a parameter that it asks for, it is not.
///
/// # Errors
/// What is wrong with the expression, and where.
pub fn matching(text: &str, runs: &[Run]) -> Result<Vec<usize>, String> {
    // The size check looks at what stands in brackets.
    size::check(&format!("{{{{ {text} }}}}")).map_err(|why| format!("`--where`: {why}"))?;
    let expression = ENVIRONMENT.compile_expression(text).map_err(|error| explain(text, &error))?;
    let known: BTreeSet<String> = params::names(runs).into_iter().collect();
    let is_known = |name: &str| {
        OWN.contains(&name)
            || known
                .iter()
                .any(|known| known == name || known.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
    };
    let mut asked: Vec<_> = expression.undeclared_variables(false).into_iter().collect();
    asked.sort_unstable();
    if let Some(unknown) = asked.iter().find(|name| !is_known(name)) {
        let at = text.find(unknown.as_str()).map(|start| start..start + unknown.len());
        let help = instead(unknown, known.iter().map(String::as_str), "parameters");
        return Err(pointing(text, at, &format!("no run has the parameter `{unknown}`; {help}")));
    }
    let mut found = Vec::new();
    for (place, run) in runs.iter().enumerate() {
        match expression.eval(context(run)) {
            Ok(value) if value.is_true() => found.push(place),
            Ok(_) => {}
            // It has not got what is asked for.
            Err(error) if error.kind() == ErrorKind::UndefinedError => {}
            Err(error) => return Err(explain(text, &error)),
        }
    }
    Ok(found)
}

/// Names beside the parameters; a parameter of that name hides them.
const OWN: [&str; 3] = ["params", "experiment", "run"];

fn context(run: &Run) -> minijinja::Value {
    use minijinja::Value as V;
    let own = [
        ("params".to_owned(), to_jinja(&run.params)),
        ("experiment".to_owned(), V::from(run.experiment.as_str())),
        ("run".to_owned(), V::from(run.name.as_str())),
    ];
    let params = run.params.as_map().into_iter().flatten();
    V::from_pairs(own.into_iter().chain(params.map(|(name, value): (&String, &Value)| (name.clone(), to_jinja(value)))))
}

fn explain(text: &str, error: &Error) -> String {
    let message = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    pointing(text, error.range(), &message)
}

/// The message, with the place under the expression.
fn pointing(text: &str, at: Option<Range<usize>>, message: &str) -> String {
    let shown: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let Some(at) = at else { return format!("`--where`: {message}\n  {shown}") };
    let start = text.get(..at.start).map_or(0, |before| before.chars().count()).min(shown.chars().count());
    let width = text.get(at).map_or(1, |there| there.chars().count()).max(1);
    format!("`--where`: {message}\n  {shown}\n  {}{}", " ".repeat(start), "^".repeat(width))
}

#[cfg(test)]
mod tests {
    use super::super::params::tests::run;
    use super::*;

    fn runs() -> Vec<Run> {
        vec![
            run(r#"{"width": 16, "opt": "sgd", "net": {"depth": 1}}"#),
            run(r#"{"width": 32, "opt": "sgd", "net": {"depth": 2}}"#),
            run(r#"{"width": 32, "opt": "adam", "steps-per-x": 3}"#),
        ]
    }

    #[test]
    fn runs_are_chosen_by_their_parameters() {
        for (text, expected) in [
            ("width > 16 and opt == \"sgd\"", &[1][..]),
            ("opt in ['adam', 'lion'] or width < 20", &[0, 2]),
            ("net.depth == 2", &[1]),
            ("params['steps-per-x'] == 3", &[2]),
            ("experiment == 'e'", &[0, 1, 2]),
            ("not width is odd", &[0, 1, 2]),
            ("opt is startingwith('s')", &[0, 1]),
        ] {
            assert_eq!(matching(text, &runs()), Ok(expected.to_vec()), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_shown_at_its_place() {
        let wrong = |text: &str| matching(text, &runs()).unwrap_err();
        insta::assert_snapshot!(wrong("width > and opt"), @r"
        `--where`: unexpected input after expression
          width > and opt
                      ^^^
        ");
        insta::assert_snapshot!(wrong("widht > 3"), @r"
        `--where`: no run has the parameter `widht`; did you mean `width`?
          widht > 3
          ^^^^^
        ");
        insta::assert_snapshot!(wrong("width > 3 and lr < 2"), @r"
        `--where`: no run has the parameter `lr`; the parameters are `net.depth`, `opt`, `steps-per-x`, `width`
          width > 3 and lr < 2
                        ^^
        ");
        insta::assert_snapshot!(wrong("width > 'a' + 3"), @r"
        `--where`: tried to use + operator on unsupported types string and number
          width > 'a' + 3
                  ^^^^^^^
        ");
        assert!(wrong("").starts_with("`--where`: unexpected end of input, expected expression"));
        assert!(wrong(&format!("width{}", " + 1".repeat(1000))).contains("operators"));
    }
}
