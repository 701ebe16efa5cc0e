//! What is computed from a run's parameters: `derive`, and the expressions of `exclude`.
//!
//! Owns which names they see, and what is told of one that is not there. Where a run lacks a parameter that others have, an
//! expression that names it does not match, as a mapping would not.

use crate::config::{At, Derive, Diagnostic, Exclude, Experiment, Node, Pattern, Sweep, nearest};
use crate::jinja::{explain, from_jinja, guarded, size, sole_expression, to_jinja};
use crate::value::{Map, Value};
use minijinja::{Environment, Expression, UndefinedBehavior};
use std::sync::LazyLock;

type Result<T> = std::result::Result<T, Box<Diagnostic>>;

/// What an experiment computes, compiled.
#[derive(Debug)]
pub(super) struct Computed<'e> {
    experiment: &'e str,
    derive: Vec<(&'e Derive, Formula<'e>)>,
    exclude: Vec<Excluded<'e>>,
}

/// A value that `derive` computes.
#[derive(Debug)]
enum Formula<'e> {
    Fixed(&'e Value),
    /// One `{{ … }}`: its value keeps its type.
    Expression(Expression<'static, 'static>),
    Text(&'e str),
    List(Vec<Formula<'e>>),
    Map(Vec<(&'e str, Formula<'e>)>),
}

/// What drops a run.
#[derive(Debug)]
enum Excluded<'e> {
    Values(&'e Value),
    Expression {
        text: &'e str,
        at: At,
        compiled: Expression<'static, 'static>,
        /// The parameters it names.
        names: Vec<Vec<String>>,
    },
}

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_debug(true);
    environment.set_fuel(Some(1_000_000));
    // What is computed is no HTML, whatever the experiment is called.
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_formatter(|out, _, value| {
        let text = match from_jinja(value)? {
            Value::String(text) => text,
            list_or_map @ (Value::List(_) | Value::Map(_)) => list_or_map.to_json(),
            scalar => scalar.python_str(),
        };
        Ok(out.write_str(&text)?)
    });
    environment
});

impl<'e> Computed<'e> {
    /// Compiles what an experiment computes.
    ///
    /// # Errors
    /// A template or an expression that is wrong, or names a parameter that no run has.
    pub(super) fn new(experiment: &'e Experiment) -> Result<Self> {
        let mut computed = Computed { experiment: &experiment.name, derive: Vec::new(), exclude: Vec::new() };
        let is_expression = |exclude: &Exclude| matches!(exclude.pattern, Pattern::Expression(_));
        let mut known = Known { experiment, paths: Vec::new() };
        if !experiment.derive.is_empty() || experiment.exclude.iter().any(is_expression) {
            known.collect();
        }
        for derive in &experiment.derive {
            computed.derive.push((derive, known.formula(&derive.value, derive)?));
            known.paths.push(derive.path.clone());
        }
        for exclude in &experiment.exclude {
            computed.exclude.push(match &exclude.pattern {
                Pattern::Values(value) => Excluded::Values(value),
                Pattern::Expression(text) => {
                    let compiled = compile(text, exclude.at, "`exclude`")?;
                    let names = known.names(&compiled, exclude.at)?;
                    Excluded::Expression { text, at: exclude.at, compiled, names }
                }
            });
        }
        Ok(computed)
    }

    /// Adds what is computed to a run's parameters; returns the values in the order of `derive`.
    pub(super) fn derive(&self, params: &mut Value) -> Result<Vec<(&'e Derive, Value)>> {
        let mut values = Vec::with_capacity(self.derive.len());
        for (derive, formula) in &self.derive {
            let context = minijinja::Value::from_pairs([
                ("params", to_jinja(params)),
                ("experiment", minijinja::Value::from(self.experiment)),
            ]);
            let value = formula.value(&context).map_err(|error| {
                let message = format!("`derive` cannot compute `{}`: {error}", derive.path.join("."));
                Box::new(Diagnostic::error(message).at(derive.at))
            })?;
            super::expand::assign(params, &derive.path, &value);
            values.push((*derive, value));
        }
        Ok(values)
    }

    /// Whether a run is dropped; `matched` is told the place of each pattern that says so.
    pub(super) fn excludes(&self, params: &Value, mut matched: impl FnMut(usize)) -> Result<bool> {
        let mut excluded = false;
        let mut context = None;
        for (number, exclude) in self.exclude.iter().enumerate() {
            let drops = match exclude {
                Excluded::Values(pattern) => params.matches(pattern),
                Excluded::Expression { names, .. } if names.iter().any(|path| !has(params, path)) => false,
                Excluded::Expression { text, at, compiled, .. } => {
                    let context = context.get_or_insert_with(|| bare(params));
                    truth(text, *at, compiled, context)?
                }
            };
            if drops {
                matched(number);
                excluded = true;
            }
        }
        Ok(excluded)
    }
}

/// What an expression of `exclude` sees: every parameter by its name, and all of them as `params`.
fn bare(params: &Value) -> minijinja::Value {
    let all = to_jinja(params);
    let Value::Map(map) = params else { return all };
    let own = map.iter().map(|(key, value)| (key.as_str(), to_jinja(value)));
    minijinja::Value::from_pairs([("params", all)].into_iter().chain(own))
}

fn truth(text: &str, at: At, compiled: &Expression<'_, '_>, context: &minijinja::Value) -> Result<bool> {
    let wrong = |message: String| Box::new(Diagnostic::error(message).at(at));
    let value = match guarded(|| compiled.eval(context.clone())) {
        Ok(value) => value,
        // The run has not got what is asked for.
        Err(error) if error.kind() == minijinja::ErrorKind::UndefinedError => return Ok(false),
        Err(error) => return Err(wrong(format!("`exclude` cannot tell `{text}`: {}", explain(&error)))),
    };
    if value.kind() == minijinja::value::ValueKind::Bool {
        return Ok(value.is_true());
    }
    let message = format!("`exclude` wants an expression that is true or false, and `{text}` gives `{value}`");
    Err(Box::new(wrong(message).help("compare it with something, as in `lr > 0.1`")))
}

/// Whether a path leads to a parameter, or into the value of one.
fn has(params: &Value, path: &[String]) -> bool {
    let mut value = params;
    for key in path {
        match value {
            Value::Map(map) => match map.get(key) {
                Some(inner) => value = inner,
                None => return false,
            },
            _ => return true,
        }
    }
    true
}

impl Formula<'_> {
    fn value(&self, context: &minijinja::Value) -> std::result::Result<Value, String> {
        match self {
            Formula::Fixed(value) => Ok((*value).clone()),
            Formula::Expression(compiled) => {
                let value = guarded(|| compiled.eval(context.clone())).map_err(|error| explain(&error))?;
                if value.is_undefined() {
                    return Err("it is not defined".to_owned());
                }
                from_jinja(&value).map_err(|error| explain(&error))
            }
            Formula::Text(text) => guarded(|| ENVIRONMENT.render_str(text, context.clone()))
                .map(Value::String)
                .map_err(|error| explain(&error)),
            Formula::List(items) => {
                items.iter().map(|item| item.value(context)).collect::<std::result::Result<_, _>>().map(Value::List)
            }
            Formula::Map(entries) => {
                let entries = entries.iter().map(|(key, formula)| Ok(((*key).to_owned(), formula.value(context)?)));
                entries.collect::<std::result::Result<Map, String>>().map(Value::Map)
            }
        }
    }
}

fn compile(text: &str, at: At, what: &str) -> Result<Expression<'static, 'static>> {
    let wrong = |why: String| {
        let help = "write an expression such as `lr > 0.1 and width >= 64`, with `and`, `or`, `not`, `==` and `in`";
        Box::new(Diagnostic::error(format!("{what} holds `{text}`, which is no expression: {why}")).at(at).help(help))
    };
    size::check(&format!("{{{{{text}}}}}")).map_err(wrong)?;
    ENVIRONMENT.compile_expression_owned(text.to_owned()).map_err(|error| wrong(explain(&error)))
}

/// The parameters that the runs of an experiment have.
struct Known<'e> {
    experiment: &'e Experiment,
    paths: Vec<Vec<String>>,
}

impl<'e> Known<'e> {
    fn collect(&mut self) {
        let experiment = self.experiment;
        leaves(&experiment.params, &mut Vec::new(), &mut self.paths);
        for (_, axis) in experiment.sweeps.iter().flat_map(Sweep::each_axis) {
            self.paths.push(axis.path.clone());
            for value in axis.values.iter().filter(|value| value.as_map().is_some()) {
                leaves(value, &mut axis.path.clone(), &mut self.paths);
            }
        }
    }

    fn formula(&self, value: &'e Value, derive: &Derive) -> Result<Formula<'e>> {
        Ok(match value {
            Value::String(text) if !text.contains("{{") && !text.contains("{%") => Formula::Fixed(value),
            Value::String(text) => {
                let what = format!("`derive.{}`", derive.path.join("."));
                if let Some(expression) = sole_expression(text) {
                    let compiled = compile(expression, derive.at, &what)?;
                    self.check(compiled.undeclared_variables(true), derive.at, derive)?;
                    return Ok(Formula::Expression(compiled));
                }
                let wrong = |why: String| Box::new(Diagnostic::error(format!("{what}: {why}")).at(derive.at));
                size::check(text).map_err(wrong)?;
                let template = ENVIRONMENT.template_from_str(text).map_err(|error| wrong(explain(&error)))?;
                self.check(template.undeclared_variables(true), derive.at, derive)?;
                Formula::Text(text)
            }
            Value::List(items) => {
                Formula::List(items.iter().map(|item| self.formula(item, derive)).collect::<Result<_>>()?)
            }
            Value::Map(map) => {
                let entries = map.iter().map(|(key, value)| Ok((key.as_str(), self.formula(value, derive)?)));
                Formula::Map(entries.collect::<Result<_>>()?)
            }
            fixed => Formula::Fixed(fixed),
        })
    }

    /// Checks the names that a template of `derive` uses.
    fn check(&self, names: impl IntoIterator<Item = String>, at: At, derive: &Derive) -> Result<()> {
        let mut names: Vec<_> = names.into_iter().filter(|name| !is_global(name)).collect();
        names.sort();
        for name in names {
            let mut path: Vec<_> = name.split('.').map(str::to_owned).collect();
            match path.first().map(String::as_str) {
                Some("experiment") => {}
                Some("params") => {
                    path.remove(0);
                    if !self.is_known(&path) {
                        return Err(self.unknown(&path, "`derive`", at, "params."));
                    }
                }
                _ => {
                    let message = format!("`derive.{}` names `{name}`, which is not there", derive.path.join("."));
                    let help = if self.is_known(&path) {
                        format!("write `params.{name}`")
                    } else {
                        "it sees `params` and `experiment`: parameters are the same in all repetitions".to_owned()
                    };
                    return Err(Box::new(Diagnostic::error(message).at(at).help(help)));
                }
            }
        }
        Ok(())
    }

    /// The parameters that an expression of `exclude` names.
    fn names(&self, compiled: &Expression<'_, '_>, at: At) -> Result<Vec<Vec<String>>> {
        let mut names: Vec<_> = compiled.undeclared_variables(true).into_iter().collect();
        names.sort();
        let own = |first: &str| self.paths.iter().any(|path| path.first().is_some_and(|key| key == first));
        let mut paths = Vec::new();
        for name in names {
            let mut path: Vec<_> = name.split('.').map(str::to_owned).collect();
            let first = path.first().cloned().unwrap_or_default();
            if first == "params" && !own("params") {
                path.remove(0);
            } else if is_global(&first) && !own(&first) {
                continue;
            }
            if !self.is_known(&path) {
                return Err(self.unknown(&path, "`exclude`", at, ""));
            }
            paths.push(path);
        }
        Ok(paths)
    }

    fn is_known(&self, path: &[String]) -> bool {
        path.is_empty() || self.paths.iter().any(|known| known.starts_with(path) || path.starts_with(known))
    }

    fn unknown(&self, path: &[String], what: &str, at: At, prefix: &str) -> Box<Diagnostic> {
        let name = path.join(".");
        let known: Vec<_> = self.paths.iter().map(|path| path.join(".")).collect();
        let message =
            format!("{what} names `{prefix}{name}`, which no run of experiment `{}` has", self.experiment.name);
        let later = self.experiment.derive.iter().any(|derive| derive.path == path);
        let help = match nearest(&name, known.iter().map(String::as_str)) {
            _ if later => format!("`derive` computes `{name}` further down: move it up"),
            Some(near) => format!("did you mean `{prefix}{near}`?"),
            None if known.is_empty() => "it has no parameters".to_owned(),
            None => {
                let mut shown: Vec<_> = known.iter().take(10).map(|name| format!("`{name}`")).collect();
                shown.extend((known.len() > 10).then(|| "…".to_owned()));
                format!("its parameters are {}", shown.join(", "))
            }
        };
        Box::new(Diagnostic::error(message).at(at).help(help))
    }
}

fn is_global(name: &str) -> bool {
    ENVIRONMENT.globals().any(|(global, _)| global == name)
}

/// The paths of all values in a mapping.
fn leaves(node: &Node, path: &mut Vec<String>, paths: &mut Vec<Vec<String>>) {
    match node.as_map() {
        Some(map) if !map.is_empty() => {
            for (key, (_, child)) in map {
                path.push(key.clone());
                leaves(child, path, paths);
                path.pop();
            }
        }
        _ if path.is_empty() => {}
        _ => paths.push(path.clone()),
    }
}
