//! The templates of `command`, `env`, `workdir` and `launcher`: one environment, strict about unknown names.
//!
//! Owns what a template sees and how a value prints. Pure: rendering reads nothing but its arguments.
//! Numbers, `True` and `None` print as Python prints them; lists and mappings as JSON.

use crate::run::jinja::{from_jinja, guarded, to_jinja};
use crate::run::{quote, shell, size};
use crate::value::{Map, Value};
use minijinja::value::Object;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, UndefinedBehavior};
use std::sync::LazyLock;

/// The names a template may use.
pub const NAMES: &[&str] =
    &["params", "rep", "rep_dir", "config_file", "experiment", "run", "iterations", "seed", "slot", "cpus", "gpus"];

/// What a template sees of one repetition.
#[derive(Debug, Clone)]
pub struct Context(minijinja::Value);

/// The values of a [`Context`].
#[derive(Debug, Clone, Default)]
pub struct Names<'a> {
    /// The experiment's name.
    pub experiment: &'a str,
    /// The run's name.
    pub run: &'a str,
    /// The repetition's number.
    pub rep: u32,
    /// Its directory, absolute.
    pub rep_dir: &'a str,
    /// The resolved configuration as YAML, absolute.
    pub config_file: &'a str,
    /// Handed to iterative experiments.
    pub iterations: Option<u64>,
    /// See [`crate::experiment::seed`].
    pub seed: u32,
    /// The slot's number, from 0.
    pub slot: u32,
    /// The slot's CPUs.
    pub cpus: u32,
    /// The slot's GPUs, as `CUDA_VISIBLE_DEVICES` would name them.
    pub gpus: &'a str,
}

impl Context {
    /// The parameters and the names of one repetition.
    pub fn new(params: &Value, names: &Names) -> Self {
        use minijinja::Value as V;
        Context(V::from_pairs([
            ("params", to_jinja(params)),
            ("experiment", V::from(names.experiment)),
            ("run", V::from(names.run)),
            ("rep", V::from(names.rep)),
            ("rep_dir", V::from(names.rep_dir)),
            ("config_file", V::from(names.config_file)),
            ("iterations", names.iterations.map_or(V::from(()), V::from)),
            ("seed", V::from(names.seed)),
            ("slot", V::from(names.slot)),
            ("cpus", V::from(names.cpus)),
            ("gpus", V::from(names.gpus)),
        ]))
    }
}

/// Renders a shell text: every inserted value is quoted for the place it stands at.
pub fn shell(template: &str, context: &Context) -> Result<String, String> {
    shell::insert(&render(&SHELL, template, context)?)
}

/// Renders a plain text: values as they are.
pub fn plain(template: &str, context: &Context) -> Result<String, String> {
    word(template, context, &shell::Words::default())
}

/// Renders a text whose values stay as they are, behind `words` of the same call.
fn word(template: &str, context: &Context, words: &shell::Words) -> Result<String, String> {
    no_nul(shell::argument(&render(&PLAIN, template, context)?, words)?)
}

fn render(environment: &Environment<'_>, template: &str, context: &Context) -> Result<String, String> {
    size::check(template)?;
    guarded(|| environment.render_str(template, context.0.clone())).map_err(|error| explain(&error))
}

/// The words of a call without a shell, one template after another.
#[derive(Debug, Default)]
pub struct Arguments {
    words: Vec<String>,
    so_far: shell::Words,
}

impl Arguments {
    /// Renders one word. A template that is nothing but `{{ … | flags }}` or `{{ … | overrides }}` becomes as many words as it has.
    pub fn push(&mut self, template: &str, context: &Context) -> Result<(), String> {
        size::check(template)?;
        if let Some(expression) = sole_expression(template) {
            let value = guarded(|| PLAIN.compile_expression(expression)?.eval(context.0.clone()));
            let value = value.map_err(|error| explain(&error))?;
            if let Some(words) = value.downcast_object_ref::<Words>() {
                for word in &words.0 {
                    self.so_far.check("", word)?;
                    self.add(no_nul(word.clone())?);
                }
                return Ok(());
            }
        }
        self.add(word(template, context, &self.so_far)?);
        Ok(())
    }

    /// Renders a shell text and adds the words that run it.
    pub fn push_shell(&mut self, template: &str, context: &Context) -> Result<(), String> {
        let text = shell(template, context)?;
        self.so_far.check("", &text)?;
        for word in ["/bin/sh", "-c"] {
            self.add(word.to_owned());
        }
        self.words.push(text);
        Ok(())
    }

    fn add(&mut self, word: String) {
        self.so_far.word(&word);
        self.words.push(word);
    }

    /// The words.
    pub fn into_words(self) -> Vec<String> {
        self.words
    }
}

fn no_nul(text: String) -> Result<String, String> {
    if text.contains('\0') {
        return Err("the rendered text holds a NUL character, which no command line can carry".to_owned());
    }
    Ok(text)
}

/// The expression of a template that is one `{{ … }}` and nothing else.
fn sole_expression(template: &str) -> Option<&str> {
    let inner = template.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    (!inner.contains("{{") && !inner.contains("}}")).then(|| inner.trim_matches('-').trim())
}

/// Checks a template without a repetition: its syntax, and that it uses known names only.
pub fn check(template: &str) -> Result<(), String> {
    size::check(template)?;
    let template = PLAIN.template_from_str(template).map_err(|error| explain(&error))?;
    let mut unknown: Vec<_> = template
        .undeclared_variables(false)
        .into_iter()
        .filter(|name| !NAMES.contains(&name.as_str()) && !PLAIN.globals().any(|(global, _)| global == name))
        .collect();
    unknown.sort();
    match unknown.first() {
        Some(name) => Err(format!("unknown name `{name}` in a template; known are {}", NAMES.join(", "))),
        None => Ok(()),
    }
}

/// What is wrong with a template, in words of the user's: which name is not defined, not that one is.
pub(crate) fn explain(error: &Error) -> String {
    use std::error::Error as _;
    let mut text = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    if error.kind() == ErrorKind::UndefinedError {
        let name = error.template_source().zip(error.range()).and_then(|(source, range)| {
            // The range of a path is its last parts only.
            let before = source.get(..range.start)?;
            let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
            source.get(before.trim_end_matches(part).len()..range.end)
        });
        text = match name {
            Some(name) => format!("`{}` is not defined here", name.trim_matches(['{', '}', ' '])),
            None => "a name is not defined here".to_owned(),
        };
    }
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    format!("template: {text}")
}

static SHELL: LazyLock<Environment<'static>> = LazyLock::new(|| environment(true));
static PLAIN: LazyLock<Environment<'static>> = LazyLock::new(|| environment(false));

fn environment(for_shell: bool) -> Environment<'static> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    if let Ok(syntax) = env.syntax().to_builder().keep_trailing_newline(true).build() {
        env.set_syntax(syntax);
    }
    env.set_debug(true);
    // A sweep's template that loops without end must not hang the planner.
    env.set_fuel(Some(1_000_000));
    env.add_filter("flags", |value: minijinja::Value| flags(&value).map(minijinja::Value::from_object));
    env.add_filter("overrides", |value: minijinja::Value| overrides(&value).map(minijinja::Value::from_object));
    // minijinja's own is marked as safe, and would be inserted without quotes.
    env.add_filter("tojson", |value: minijinja::Value| from_jinja(&value).map(|value| value.to_json()));
    env.add_filter("raw", |value: minijinja::Value| -> Result<minijinja::Value, Error> {
        Ok(minijinja::Value::from_safe_string(print(&value)?))
    });
    // What a block captured keeps its marks, and is not marked again.
    env.set_auto_escape_callback(|_| AutoEscape::Custom("marks".into()));
    env.set_formatter(move |out, _, value| write(out, value, for_shell));
    env
}

/// Writes a value with a mark, so that it is told from the template's own text.
fn write(out: &mut Output, value: &minijinja::Value, for_shell: bool) -> Result<(), Error> {
    let text = match value.downcast_object_ref::<Words>() {
        Some(Words(words)) if for_shell => shell::mark_words(words).map_err(invalid)?,
        Some(Words(words)) => {
            let words: Result<Vec<_>, _> = words.iter().map(|word| quote::word(word)).collect();
            shell::mark_word(&words.map_err(invalid)?.join(" ")).map_err(invalid)?
        }
        None if value.is_safe() => print(value)?,
        None => shell::mark_word(&print(value)?).map_err(invalid)?,
    };
    Ok(out.write_str(&text)?)
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// Command line words: what `flags` and `overrides` make.
#[derive(Debug)]
struct Words(Vec<String>);

impl Object for Words {}

/// A value as text.
fn print(value: &minijinja::Value) -> Result<String, Error> {
    Ok(match from_jinja(value)? {
        Value::String(text) => text,
        list_or_map @ (Value::List(_) | Value::Map(_)) => list_or_map.to_json(),
        scalar => scalar.python_str(),
    })
}

/// `--key value …`: nested keys joined by dots, a list as several values, `null` left out.
fn flags(value: &minijinja::Value) -> Result<Words, Error> {
    let mut words = Vec::new();
    leaves(&mapping(value, "flags")?, &mut Vec::new(), &mut |path, value| {
        let text = |value: &Value| match value {
            Value::List(_) | Value::Map(_) => value.to_json(),
            scalar => scalar.python_str(),
        };
        match value {
            Value::Null => {}
            Value::List(items) => {
                words.push(format!("--{}", path.join(".")));
                words.extend(items.iter().map(text));
            }
            other => words.extend([format!("--{}", path.join(".")), text(other)]),
        }
    });
    Ok(Words(words))
}

/// `key=value …` as Hydra and `OmegaConf` read it: nested keys joined by dots, values as JSON, text bare where it can be.
fn overrides(value: &minijinja::Value) -> Result<Words, Error> {
    let mut words = Vec::new();
    leaves(&mapping(value, "overrides")?, &mut Vec::new(), &mut |path, value| {
        let text = match value {
            Value::String(text)
                if text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '_'))
                    && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'))
                    && !matches!(text.to_ascii_lowercase().as_str(), "null" | "true" | "false" | "nan" | "inf") =>
            {
                text.clone()
            }
            other => other.to_json(),
        };
        words.push(format!("{}={text}", path.join(".")));
    });
    Ok(Words(words))
}

fn mapping(value: &minijinja::Value, filter: &str) -> Result<Map, Error> {
    match from_jinja(value)? {
        Value::Map(map) => Ok(map),
        _ => Err(invalid(format!("`{filter}` takes a mapping, such as `params`"))),
    }
}

fn leaves<'a>(map: &'a Map, path: &mut Vec<&'a str>, visit: &mut impl FnMut(&[&str], &Value)) {
    for (key, value) in map {
        path.push(key);
        match value {
            Value::Map(inner) if !inner.is_empty() => leaves(inner, path, visit),
            leaf => visit(path, leaf),
        }
        path.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More than 128 bits.
    const BIG: &str = "-123456789012345678901234567890123456789012345678901234567890";

    fn context() -> Context {
        let params = Value::Map(Map::from([
            ("lr".to_owned(), Value::Float(1e-5)),
            (
                "net".to_owned(),
                Value::Map(Map::from([("act".to_owned(), Value::from("a b")), ("n".to_owned(), Value::Int(3))])),
            ),
            ("dims".to_owned(), Value::List(vec![Value::Int(1), Value::from("x y")])),
            ("on".to_owned(), Value::Bool(true)),
            ("none".to_owned(), Value::Null),
            ("big".to_owned(), Value::BigInt(BIG.to_owned())),
        ]));
        Context::new(&params, &Names { experiment: "e", run: "e__lr1", rep: 2, rep_dir: "/r d", ..Names::default() })
    }

    #[test]
    fn values_print_as_python_prints_them_and_are_quoted_for_the_shell() {
        for (template, expected) in [
            ("a {{ params.lr }} {{ params.on }} {{ params.none }} {{ rep }}", "a 1e-05 True None 2"),
            ("a {{ params.net.act }} '{{ params.net.act }}' \"{{ params.net.act }}\"", "a 'a b' 'a b' \"a b\""),
            ("a {{ params.net }}", r#"a '{"act":"a b","n":3}'"#),
            (
                "a {{ params | flags }}",
                "a --lr 1e-05 --net.act 'a b' --net.n 3 --dims 1 'x y' --on True --big -123456789012345678901234567890123456789012345678901234567890",
            ),
            (
                "a {{ params.big }} {{ [params.big] }}",
                "a -123456789012345678901234567890123456789012345678901234567890 '[-123456789012345678901234567890123456789012345678901234567890]'",
            ),
            (
                "a {{ {'x': params.big} | overrides }}",
                "a 'x=-123456789012345678901234567890123456789012345678901234567890'",
            ),
            ("a {{ params.net | tojson }} \"{{ params.net.act | tojson }}\"", r#"a '{"act":"a b","n":3}' "\"a b\"""#),
            ("a {{ params.net | overrides }}", r#"a 'act="a b"' 'n=3'"#),
            ("a {{ '$HOME' | raw }} {{ '$HOME' }}", "a $HOME '$HOME'"),
            ("{% for d in params.dims %}x {{ d }};{% endfor %}", "x 1;x 'x y';"),
            ("cd {{ rep_dir }}\n", "cd '/r d'\n"),
        ] {
            assert_eq!(shell(template, &context()).unwrap(), expected, "{template}");
        }
    }

    #[test]
    fn a_list_form_takes_words_apart_and_quotes_nothing() {
        let mut argv = Arguments::default();
        for template in ["x", "{{ params.net.act }}", "{{ params.net | flags }}", "--d={{ params.dims }}"] {
            argv.push(template, &context()).unwrap();
        }
        assert_eq!(argv.into_words(), ["x", "a b", "--act", "a b", "--n", "3", r#"--d=[1,"x y"]"#]);
    }

    #[test]
    fn unknown_names_are_errors_that_name_them() {
        assert_eq!(shell("{{ params.nope }}", &context()).unwrap_err(), "template: `params.nope` is not defined here");
        assert_eq!(shell("{{ params.lr.x }}", &context()).unwrap_err(), "template: `params.lr.x` is not defined here");
        let error = check("{{ foo }} {{ params.x }}").unwrap_err();
        assert!(error.starts_with("unknown name `foo` in a template; known are params, rep,"), "{error}");
        assert!(check("{% if x").is_err());
        // What minijinja panics over.
        for template in ["{{ 'x' | indent(9999999999999999999) }}", "{{ 'x'[:9:-9223372036854775808] }}"] {
            let _ = shell(template, &context());
            let error = Arguments::default().push(template, &context());
            assert!(error.is_err() || !cfg!(debug_assertions), "{template}");
        }
        assert_eq!(check("{% for p in params %}{{ p }}{{ loop.index }}{% endfor %}{{ range(3) }}"), Ok(()));
    }
}
