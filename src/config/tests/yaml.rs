//! What is no YAML, or YAML that cw2 refuses. Each message whole, as its reader sees it.

use super::*;

#[test]
fn duplicate_key() {
    let text = "name: a
path: out
repetitions: 2
command: ./run
params:
  lr: 1
  net: 2
  lr: 3
";
    assert_eq!(
        errors(text, &request()),
        "error: the key `lr` is written twice
 --> c.yml:8:3
  |
8 |   lr: 3
  |   ^^ again here
  |
 ::: c.yml:6:3
  |
6 |   lr: 1
  |   -- first here
  |
  = help: remove one of the two"
    );
}

#[test]
fn invalid_yaml() {
    let text = "name: a
  path: out
";
    assert_eq!(
        errors(text, &request()),
        "error: invalid YAML: mapping values are not allowed in this context
 --> c.yml:2:7
  |
2 |   path: out
  |       ^
  |
  = help: indent the key like its neighbours, or quote a text that holds a `:`"
    );
}

#[test]
fn open_bracket() {
    let text = "name: a
params: {a: [1, 2}
";
    assert_eq!(
        errors(text, &request()),
        "error: invalid YAML: while parsing a flow sequence, expected ',' or ']'
 --> c.yml:2:18
  |
2 | params: {a: [1, 2}
  |                  ^
  |
  = help: check the indentation, the brackets and the quotes up to this place"
    );
}

#[test]
fn tab() {
    let text = "name: a\nparams:\n\tlr: 1\n";
    assert_eq!(
        errors(text, &request()),
        "error: invalid YAML: tabs disallowed within this context (block indentation)
 --> c.yml:3:2
  |
3 |     lr: 1
  |     ^
  |
  = help: indent with spaces, not with tabs"
    );
}

#[test]
fn alias_bomb() {
    let text = "a: &a [x,x,x,x,x,x,x,x,x,x]
b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]
c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]
d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]
e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]
f: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]
";
    assert_eq!(
        errors(text, &request()),
        "error: the anchors and aliases up to here copy more than 200000 values
 --> c.yml:5:4
  |
5 | e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]
  |    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: use fewer aliases of aliases, and anchors in anchors"
    );
}

#[test]
fn recursive_alias() {
    let text = "name: &a [x, *a]\n";
    assert_eq!(
        errors(text, &request()),
        "error: the alias stands inside the very node it stands for
 --> c.yml:1:14
  |
1 | name: &a [x, *a]
  |              ^^
  |
  = help: write the value out"
    );
}

#[test]
fn unknown_alias() {
    let text = "name: *nobody\n";
    assert_eq!(
        errors(text, &request()),
        "error: the alias has no anchor in this document
 --> c.yml:1:7
  |
1 | name: *nobody
  |       ^
  |
  = help: define it with `&name` further up"
    );
}

#[test]
fn unknown_tag() {
    let text = "name: !!python/object [1]\n";
    assert_eq!(
        errors(text, &request()),
        "error: the tag `!!python/object` is not supported
 --> c.yml:1:7
  |
1 | name: !!python/object [1]
  |       ^^^^^^^^^^^^^^^^^
  |
  = help: use one of `!!str`, `!!int`, `!!float`, `!!bool`, `!!null`, `!!seq`, `!!map` and `!!python/tuple`, or no tag"
    );
}

#[test]
fn wrong_tag() {
    let text = "name: !!int five\n";
    assert_eq!(
        errors(text, &request()),
        "error: `five` is not what its tag `!!int` says
 --> c.yml:1:7
  |
1 | name: !!int five
  |       ^^^^^^^^^^
  |
  = help: change the value or remove the tag"
    );
}

#[test]
fn null_key() {
    let text = "~: 1\n";
    assert_eq!(
        errors(text, &request()),
        "error: nothing (null) cannot be a key
 --> c.yml:1:1
  |
1 | ~: 1
  | ^
  |
  = help: write it in quotes"
    );
}

#[test]
fn list_key() {
    let text = "[a, b]: 1\n";
    assert_eq!(
        errors(text, &request()),
        "error: a sequence or mapping cannot be a key
 --> c.yml:1:1
  |
1 | [a, b]: 1
  | ^
  |
  = help: write a text as the key"
    );
}

#[test]
fn merge_of_a_scalar() {
    let text = "name: a
<<: 5
";
    assert_eq!(
        errors(text, &request()),
        "error: `<<` merges a mapping or a list of mappings, found the number `5`
 --> c.yml:2:5
  |
2 | <<: 5
  |     ^
  |
  = help: give it an alias of a mapping, as in `<<: *base`"
    );
}

#[test]
fn long_line() {
    let keys: Vec<_> = (0..400).map(|i| format!("key{i}: {i}")).collect();
    let text = format!("{GOOD}params: {{{}, key7: 0}}\n", keys.join(", "));
    let rendered = errors(&text, &request());
    assert!(rendered.lines().all(|line| line.chars().count() < 140), "{rendered}");
    assert_eq!(
        rendered,
        "error: the key `key7` is written twice
 --> c.yml:5:4990
  |
5 | ...6: 396, key397: 397, key398: 398, key399: 399, key7: 0}
  |                                                   ^^^^ again here
  |
 ::: c.yml:5:73
  |
5 | params: {key0: 0, key1: 1, key2: 2, key3: 3, key4: 4, key5: 5, key6: 6, key7: 7, key8: 8, key9: 9, key10: 10, key...
  |                                                                         ---- first here
  |
  = help: remove one of the two"
    );
}

#[test]
fn traps() {
    let text = "name: a
path: out
repetitions: 2
command: ./run
params:
  lr: 1e-3
  other: [1e5, 2e5]
  time: 12:30:00
  day: 2024-01-31
  id: 007
";
    let original = Request { original: true, ..request() };
    assert_eq!(
        warnings(text, &original),
        r#"note: `1e-3` is read as a number; the original cw2 read it as text; so are 2 more places
 --> c.yml:6:7
  |
6 |   lr: 1e-3
  |       ^^^^
  |
  = help: write "1e-3" if text is meant

note: `12:30:00` is read as text; the original cw2 read it as a number to the base 60
 --> c.yml:8:9
  |
8 |   time: 12:30:00
  |         ^^^^^^^^
  |
  = help: write "12:30:00" to make that plain

note: `2024-01-31` is read as text; the original cw2 read it as a date
 --> c.yml:9:8
  |
9 |   day: 2024-01-31
  |        ^^^^^^^^^^
  |
  = help: write "2024-01-31" to make that plain

note: `007` is read as text, for its leading zero; other readers take it for a decimal or octal number
  --> c.yml:10:7
   |
10 |   id: 007
   |       ^^^
   |
   = help: write "007" to make that plain, or leave the zero out if a number is meant"#
    );
    // Nobody else cares how the original reads a file.
    assert_eq!(warnings(text, &request()), "");
    assert_eq!(warnings(text, &Request { for_slurm: false, ..original }), "");
    for of_original in ["_basic_path: x\n", "slurm: {scheduler: mp}\n", "---\nname: SLURM\nscheduler: mp\n"] {
        let told = warnings(&format!("{text}{of_original}"), &request());
        assert!(told.contains("note: `1e-3` is read as a number"), "{of_original}: {told}");
    }
}
/// The documents of a text, as JSON.
fn documents(text: &str) -> Vec<String> {
    let nodes = crate::config::yaml::parse(text, 0, &mut crate::config::traps::Traps::default()).unwrap();
    nodes.iter().map(|node| node.to_value().to_json()).collect()
}

#[test]
fn merge_keys_come_first_and_lists_of_them_backwards() {
    let text = "x: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\nz: {q: 0, <<: [*x, *y], a: 9, d: 8}\n";
    assert_eq!(documents(text), [r#"{"x":{"a":1,"b":2},"y":{"b":3,"c":4},"z":{"b":2,"c":4,"a":9,"q":0,"d":8}}"#]);
    assert_eq!(documents("{<<: {m: 1}, <<: {n: 2, m: 3}}"), [r#"{"m":3,"n":2}"#]);
    assert_eq!(documents("{'<<': 1}"), [r#"{"<<":1}"#]);
}

#[test]
fn keys_are_their_text() {
    let text = "1: a\n0x1F: b\nyes: c\n12:30: d\n'~': e\n&k key: f\n? complex\n: g\nh: &v 7\n*v : i\n";
    let expected = r#"{"1":"a","0x1F":"b","yes":"c","12:30":"d","~":"e","key":"f","complex":"g","h":7,"7":"i"}"#;
    assert_eq!(documents(text), [expected]);
}

#[test]
fn documents_that_hold_nothing_are_skipped() {
    assert_eq!(documents("---\n---\na: 1\n...\n---\nnull\n--- text\n# end\n"), [r#"{"a":1}"#, r#""text""#]);
    assert!(documents("").is_empty());
}

#[test]
fn a_template_without_quotes() {
    let text = GOOD.replace("./run", "{{ params.program }}");
    assert_eq!(
        errors(&text, &request()),
        "error: a text that begins with `{{` must be quoted: YAML reads braces as a mapping
 --> c.yml:4:10
  |
4 | command: {{ params.program }}
  |          ^^
  |
  = help: write quotes around the whole text: `\"{{ … }}\"`"
    );
}

#[test]
fn an_alias_reaches_no_further_than_its_document() {
    let text = format!("{GOOD}x: &x 1\n---\nname: b\ny: *x\n");
    assert!(errors(&text, &request()).starts_with("error: the alias has no anchor in this document\n --> c.yml:8:4\n"));
}

#[test]
fn what_lies_too_deep_is_an_error() {
    let deep = |levels: usize| format!("{GOOD}params: {{a: {}{}}}\n", "[".repeat(levels), "]".repeat(levels));
    assert!(load_files(&[("c.yml", &deep(126))], &request()).is_ok());
    for levels in [127, 200, 300, 100_000] {
        let rendered = errors(&deep(levels), &request());
        assert!(rendered.starts_with("error: more than 128 sequences and mappings lie in each other\n"), "{rendered}");
    }
    let ladder: Vec<_> = (1..200).map(|i| format!("a{i}: &a{i} [*a{}]\n", i - 1)).collect();
    let rendered = errors(&format!("a0: &a0 []\n{}", ladder.concat()), &request());
    assert!(
        rendered.starts_with("error: more than 128 sequences and mappings lie in each other\n   --> c.yml:128:"),
        "{rendered}"
    );
}

#[test]
fn places_cover_what_is_written() {
    let text = format!("{GOOD}params:\n  ünï: [a, 'b c', {{d: |\n    x\n    }}]\n")
        .replace("{d: |\n    x\n    }", "{d: \"é\"}");
    let experiment = one(&text, &request());
    let list = experiment.params.get("ünï").unwrap();
    let slice = |at: At| &text[at.start as usize..at.end as usize];
    assert_eq!(slice(list.at), "[a, 'b c', {d: \"é\"}]");
    let items = list.as_list().unwrap();
    assert_eq!(slice(items[1].at), "'b c'");
    assert_eq!((items[2].at.line, items[2].at.column), (6, 19));
    assert_eq!(slice(items[2].get("d").unwrap().at), "\"é\"");
    assert_eq!(slice(experiment.params.at), "ünï: [a, 'b c', {d: \"é\"}]");
}
