//! The templates of `command`, `env`, `workdir` and `launcher`: one environment, strict about unknown names.
//!
//! Owns what a template sees and how a value prints. Pure: rendering reads nothing but its arguments.
//! Numbers, `True` and `None` print as Python prints them; lists and mappings as JSON.

use crate::config::FlagStyle;
use crate::jinja::{explain, from_jinja, guarded, size, sole_expression, to_jinja};
use crate::run::{flags, quote, shell};
use crate::value::{Map, Value};
use minijinja::value::{Kwargs, Object};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Expression, Output, State, UndefinedBehavior};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::LazyLock;
use std::thread::LocalKey;

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
    /// How the filter `flags` writes parameters.
    pub flag_style: FlagStyle,
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
            (FLAG_STYLE, V::from_object(Style(names.flag_style.clone()))),
        ]))
    }
}

/// Renders a shell text: every inserted value is quoted for the place it stands at.
pub fn shell(template: &str, context: &Context) -> Result<String, String> {
    shell::insert(&render(&COMPILED_SHELL, template, context)?)
}

/// Renders a plain text: values as they are.
pub fn plain(template: &str, context: &Context) -> Result<String, String> {
    word(template, context, &shell::Words::default())
}

/// Renders a text whose values stay as they are, behind `words` of the same call.
fn word(template: &str, context: &Context, words: &shell::Words) -> Result<String, String> {
    no_nul(shell::argument(&render(&COMPILED_PLAIN, template, context)?, words)?)
}

fn render(compiled: &'static LocalKey<Compiled>, template: &str, context: &Context) -> Result<String, String> {
    if !["{{", "{%", "{#"].iter().any(|start| template.contains(start)) {
        return Ok(template.to_owned());
    }
    compiled.with_borrow_mut(|(environment, kept)| {
        if environment.get_template(template).is_err() {
            size::check(template)?;
            if *kept >= KEPT {
                environment.clear_templates();
                *kept = 0;
            }
            guarded(|| environment.add_template_owned(template.to_owned(), template.to_owned()))
                .map_err(|error| explain(&error))?;
            *kept += 1;
        }
        guarded(|| environment.get_template(template)?.render(context.0.clone())).map_err(|error| explain(&error))
    })
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
        if let Some(expression) = sole_expression(template) {
            let value = evaluate(template, expression, context)?;
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

/// The value of a template's only expression.
fn evaluate(template: &str, expression: &str, context: &Context) -> Result<minijinja::Value, String> {
    EXPRESSIONS.with_borrow_mut(|kept| {
        if !kept.contains_key(expression) {
            size::check(template)?;
            if kept.len() >= KEPT {
                kept.clear();
            }
            let compiled = guarded(|| PLAIN.compile_expression_owned(expression.to_owned()));
            kept.insert(expression.to_owned(), compiled.map_err(|error| explain(&error))?);
        }
        let value = kept.get(expression).map(|compiled| guarded(|| compiled.eval(context.0.clone())));
        value.unwrap_or_else(|| Ok(minijinja::Value::UNDEFINED)).map_err(|error| explain(&error))
    })
}

fn no_nul(text: String) -> Result<String, String> {
    if text.contains('\0') {
        return Err("the rendered text holds a NUL character, which no command line can carry".to_owned());
    }
    Ok(text)
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

static SHELL: LazyLock<Environment<'static>> = LazyLock::new(|| environment(true));
static PLAIN: LazyLock<Environment<'static>> = LazyLock::new(|| environment(false));

/// An environment with the templates that were compiled in it, by their texts, and how many those are.
type Compiled = RefCell<(Environment<'static>, usize)>;

/// The most that is kept compiled: a plan has a few templates, and renders them for each of its runs.
const KEPT: usize = 64;

thread_local! {
    static COMPILED_SHELL: Compiled = RefCell::new((SHELL.clone(), 0));
    static COMPILED_PLAIN: Compiled = RefCell::new((PLAIN.clone(), 0));
    static EXPRESSIONS: RefCell<HashMap<String, Expression<'static, 'static>>> = RefCell::default();
}

fn environment(for_shell: bool) -> Environment<'static> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    if let Ok(syntax) = env.syntax().to_builder().keep_trailing_newline(true).build() {
        env.set_syntax(syntax);
    }
    env.set_debug(true);
    // A sweep's template that loops without end must not hang the planner.
    env.set_fuel(Some(1_000_000));
    env.add_filter("flags", |state: &State<'_, '_>, value: minijinja::Value, arguments: Kwargs| {
        flag_words(state, &value, &arguments)
    });
    env.add_filter("overrides", |value: minijinja::Value| {
        Ok::<_, Error>(minijinja::Value::from_object(Words(flags::overrides(&mapping(&value, "overrides")?))))
    });
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

/// The filter `flags`; its arguments win over the experiment's `flag_style`.
fn flag_words(state: &State<'_, '_>, value: &minijinja::Value, arguments: &Kwargs) -> Result<minijinja::Value, Error> {
    let of_experiment = state.lookup(FLAG_STYLE);
    let mut style = of_experiment
        .as_ref()
        .and_then(|style| style.downcast_object_ref::<Style>())
        .map_or_else(FlagStyle::default, |Style(style)| style.clone());
    for name in arguments.args() {
        let value = from_jinja(&arguments.peek::<minijinja::Value>(name)?)?;
        style.set(name, &value).map_err(|(message, help)| invalid(format!("{message}; {help}")))?;
    }
    // Whether they are known was told above.
    let words = flags::flags(&mapping(value, "flags")?, &style).map_err(invalid)?;
    Ok(minijinja::Value::from_object(Words(words)))
}

/// By what name the filter finds the experiment's style; no template can use it.
const FLAG_STYLE: &str = "flag style";

#[derive(Debug)]
struct Style(FlagStyle);

impl Object for Style {}

fn mapping(value: &minijinja::Value, filter: &str) -> Result<Map, Error> {
    match from_jinja(value)? {
        Value::Map(map) => Ok(map),
        _ => Err(invalid(format!("`{filter}` takes a mapping, such as `params`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
            (
                "a {{ {'a_b': true, 'c': [1, 'x y'], 'd': false} | flags(bools='switch', lists='repeat', dashes=true) }}",
                "a --a-b --c 1 --c 'x y'",
            ),
            ("a {{ {'a': \"it's\"} | flags(equals=true) }}", "a \"--a=it's\""),
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

    #[test]
    fn the_style_of_the_experiment_holds_where_the_filter_says_nothing() {
        let params = Value::from_json(r#"{"a_b": true, "c": [1, 2]}"#).unwrap();
        let mut flag_style = FlagStyle { dashes: true, ..FlagStyle::default() };
        flag_style.set("bools", &Value::from("switch")).unwrap();
        let context = Context::new(&params, &Names { flag_style, ..Names::default() });
        for (template, expected) in [
            ("{{ params | flags }}", "--a-b --c 1 2"),
            ("{{ params | flags(dashes=false, lists='comma') }}", "--a_b --c '1,2'"),
            ("{% for _ in [1] %}{{ params | flags }}{% endfor %}", "--a-b --c 1 2"),
        ] {
            assert_eq!(shell(template, &context).unwrap(), expected);
        }
        let mut words = Arguments::default();
        words.push("{{ params | flags(equals=true, lists='repeat') }}", &context).unwrap();
        assert_eq!(words.into_words(), ["--a-b", "--c=1", "--c=2"]);
        for (template, expected) in [
            ("{{ params | flags(bool='switch') }}", "template: `flags` have no option `bool`; did you mean `bools`?"),
            (
                "{{ params | flags(bools='on') }}",
                "template: `bools` of `flags` is `on`, which it cannot be; write one of `value`, `lower`, `switch` and `pair`",
            ),
            ("{{ rep | flags }}", "template: `flags` takes a mapping, such as `params`"),
        ] {
            assert_eq!(shell(template, &context).unwrap_err(), expected);
        }
        assert!(check("{{ flag_style }}").is_err());
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let text = "[a-z '\"$`\\\\\n;&|<>(){}#~*?=!-]{0,6}";
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i32>().prop_map(|int| Value::Int(int.into())),
            text.prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 12, 3, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::List),
                prop::collection::vec((text, inner), 0..3).prop_map(|pairs| Value::Map(pairs.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn a_shell_reads_the_words_that_flags_made(
            pairs in prop::collection::vec(("[a-z_ '\"$;-]{0,4}", any_value()), 0..5),
            bools in prop::sample::select(&["value", "lower", "switch", "pair"][..]),
            lists in prop::sample::select(&["values", "repeat", "comma"][..]),
            nested in prop::sample::select(&[".", "-", "_", "'"][..]),
            (dashes, equals) in any::<(bool, bool)>(),
        ) {
            let mut flag_style = FlagStyle { dashes, equals, ..FlagStyle::default() };
            for (name, word) in [("bools", bools), ("lists", lists), ("nested", nested)] {
                flag_style.set(name, &Value::from(word)).unwrap();
            }
            let params = Value::Map(pairs.into_iter().collect());
            let context = Context::new(&params, &Names { flag_style, ..Names::default() });
            let mut words = Arguments::default();
            let text = shell("printf '%s\\0' {{ params | flags }}", &context);
            if let Err(why) = words.push("{{ params | flags }}", &context) {
                prop_assert_eq!(text.unwrap_err(), why);
                return Ok(());
            }
            let output = std::process::Command::new("/bin/sh").args(["-c", &text.unwrap()]).output().unwrap();
            let said = String::from_utf8(output.stdout).unwrap();
            let mut said: Vec<_> = said.split_terminator('\0').collect();
            let words = words.into_words();
            // Without a word printf prints an empty one.
            if words.is_empty() && said == [""] {
                said.clear();
            }
            prop_assert_eq!(said, words);
        }
    }
}
