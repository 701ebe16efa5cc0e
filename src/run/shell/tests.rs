//! What shells make of the texts.

use super::*;
use proptest::prelude::*;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

/// The words `/bin/sh` makes of a script's arguments to `printf`.
fn words(script: &str) -> Vec<String> {
    let output = Command::new("/bin/sh").args(["-c", script]).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_terminator('\0').map(str::to_owned).collect()
}

#[test]
fn every_place_keeps_the_value_one_word() {
    let value = "it's \"a\" $HOME `id` \\ ; # & *\nnext\\";
    for (template, expected) in [
        ("printf '%s\\0' @", value.to_owned()),
        ("printf '%s\\0' --x=@", format!("--x={value}")),
        ("printf '%s\\0' '<@>'", format!("<{value}>")),
        ("printf '%s\\0' \"<@>\"", format!("<{value}>")),
        ("printf '%s\\0' \"$(printf '%s' @)\"", value.to_owned()),
        ("printf '%s\\0' \"$(printf '%s' \"@\")\"", value.to_owned()),
        ("# don't\nprintf '%s\\0' a#b@", format!("a#b{value}")),
        ("x=@; printf '%s\\0' \"$x\"", value.to_owned()),
        ("(printf '%s\\0' \"${HOME:+@}\")".replace('@', "y").as_str(), "y".to_owned()),
        ("printf \\\n '%s\\0' \\\n @", value.to_owned()),
        ("x=$(: ./lowercase case.txt; printf '%s\\0' @); printf '%s\\0' \"$x\"", value.to_owned()),
    ] {
        let script = insert(&template.replace('@', &mark_word(value).unwrap())).unwrap();
        assert_eq!(words(&script), [expected], "{template} became {script}");
    }
}

#[test]
fn places_that_cannot_be_quoted_are_refused() {
    for template in [
        "# @",
        "cat <<EOF\n@\nEOF",
        "echo `echo @`",
        "echo ${x:-@}",
        "echo $((1 + @))",
        "echo \\@",
        "echo \"\\@\"",
        "echo $@",
        "echo \"$@\"",
        "echo $'a' @",
        "echo $(case x in x) echo @;; esac)",
        "echo 'x @",
        "echo \"${HOME:-it's} ${HOME:-it's}\" @",
        "echo \"${HOME#\"a\"}\" @",
        "echo a \\\n# --name @ \\\necho b",
        "echo a \\\n# it's\necho b # that's @",
        "echo a ># @",
        "echo a >& \\\n @",
        "echo a 2<&@",
        "echo $[1 + @]",
        "((x = @))",
        "for ((i = 0; i < @; i++)); do :; done",
        "echo $( ((x = @)) )",
    ] {
        let result = insert(&template.replace('@', &mark_word("v").unwrap()));
        assert!(result.is_err(), "{template} became {result:?}");
    }
    let words = mark_words(&["a b".to_owned(), "c".to_owned()]).unwrap();
    assert!(insert(&format!("echo \"{words}\"")).is_err());
    assert_eq!(insert(&format!("echo {words}")).unwrap(), "echo 'a b' c");
}

#[test]
fn a_number_before_a_redirection_is_no_descriptor() {
    for (template, expected) in [
        ("printf '%s\\0' a @>/dev/stdout", vec!["a", "2"]),
        ("printf '%s\\0' a 1@>/dev/stdout", vec!["a", "12"]),
        ("printf '%s\\0' a @1>/dev/stdout", vec!["a", "21"]),
        ("printf '%s\\0' a @\\\n>/dev/stdout", vec!["a", "2"]),
        ("printf '%s\\0' a @@>/dev/stdout", vec!["a", "22"]),
        ("printf '%s\\0' a @</dev/null", vec!["a", "2"]),
    ] {
        let script = insert(&template.replace('@', &mark_word("2").unwrap())).unwrap();
        assert_eq!(words(&script), expected, "{script}");
    }
    let flags = mark_words(&["--layers".to_owned(), "2".to_owned()]).unwrap();
    assert_eq!(insert(&format!("a {flags}>b")).unwrap(), "a --layers '2'>b");
    assert_eq!(insert(&format!("a {flags} >b")).unwrap(), "a --layers 2 >b");
}

/// What a value stands behind or before, and would become a part of.
#[test]
fn a_value_is_no_part_of_what_surrounds_it() {
    for (value, template, expected) in [
        ("0", "printf '%s\\0' $HOME@", "/h0"),
        ("0", "printf '%s\\0' $HO\\\nME@", "/h0"),
        ("0", "printf '%s\\0' \"$HOME@\"", "/h0"),
        ("0", "printf '%s\\0' \"a $HOME@ b\"", "a /h0 b"),
        ("0", "printf '%s\\0' \"$(printf %s $HOME@)\"", "/h0"),
        ("0", "printf '%s\\0' \"${HOME}@\"", "/h0"),
        ("0", "printf '%s\\0' \"\\$HOME@\"", "$HOME0"),
        ("0", "set -- a; printf '%s\\0' $1@", "a0"),
        ("0", "set -- a; printf '%s\\0' \"$1@\"", "a0"),
        ("0", "false; printf '%s\\0' $?@", "10"),
        ("0", "printf '%s\\0' \"$#@\"", "00"),
        ("root", "printf '%s\\0' ~@", "~root"),
        ("root", "printf '%s\\0' ~\\\n@", "~root"),
        ("root", "printf '%s\\0' ~@/x", "~root/x"),
        ("root", "printf '%s\\0' ~/@", "/h/root"),
        ("root", "printf '%s\\0' ~ro@", "~roroot"),
        ("root", "a=~@; printf '%s\\0' $a", "~root"),
        ("root", "a=x:~@; printf '%s\\0' $a", "x:~root"),
        ("root", "a=x:~/@; printf '%s\\0' $a", "x:/h/root"),
        ("root", "root=1; @=2 2>/dev/null : || :; printf '%s\\0' $root", "1"),
        ("root", "root=1; @\\\n=2 2>/dev/null : || :; printf '%s\\0' $root", "1"),
    ] {
        let script = format!("HOME=/h; {}", insert(&template.replace('@', &mark_word(value).unwrap())).unwrap());
        assert_eq!(words(&script), [expected], "{script}");
    }
}

#[test]
fn what_is_evaluated_again_takes_only_plain_values() {
    let with = |template: &str, value: &str| insert(&template.replace('@', &mark_word(value).unwrap()));
    for template in [
        "sh -c 'echo @'",
        "bash -lc \"echo @\"",
        "srun /bin/bash --norc -o pipefail -c 'echo @' x",
        "A=1 env B=2 bash -e -c \"echo $(date) @\"",
        "su me -c 'echo @'",
        "python3 -W ignore -c 'print(@)'",
        "eval echo @",
        "if eval \"echo @\"; then :; fi",
        "A=1 command eval 'echo @'",
        "trap 'echo @' EXIT",
        "ssh host ./run --name @",
        "timeout 5 ssh -p 22 host \"./run '@'\"",
        "[[ @ -eq 1 ]]",
        "let x=@",
        "a[@]=1",
        "x=$(ssh host @)",
    ] {
        assert!(with(template, "5e-05").is_ok(), "{template}: {:?}", with(template, "5e-05"));
        for value in ["a b", "$HOME", "a[$(id)]", "", "~", "it's"] {
            let error = with(template, value).expect_err(template);
            assert!(error.contains("a second time"), "{error}");
        }
    }
    // A text that ends in the beginning of something.
    for template in ["sh -c 'echo $HOME@'", "sh -c 'echo ~@'", "eval echo '\\'@", "ssh host echo '$x'@"] {
        assert!(with(template, "root").is_err(), "{template}");
    }
    for template in [
        "sh -c 'echo \"$1\"' sh @",
        "echo eval @",
        "./run.py --eval @ eval @",
        "sh script.sh -c @",
        "python3 train.py -c @",
        "eval x; echo @",
        "ssh host uptime && echo @",
        "if sh -c true; then echo @; fi",
        "echo \"$(ssh host uptime)\" @",
        "eval \"$(cmd @)\"",
        "ls x[ab] @ \"x[@\"",
        "./run -c '@'",
    ] {
        assert!(with(template, "a b").is_ok(), "{template}: {:?}", with(template, "a b"));
    }
}

/// Pieces of which hardly any whole is a sound script.
const PIECES: &[&str] = &[
    "echo",
    " ",
    "@",
    "'",
    "\"",
    "${U:-",
    "${U#",
    "}",
    "it's",
    "#",
    "\\",
    "\\\n",
    "\n",
    "$(",
    "(",
    ")",
    "$((",
    "))",
    "`",
    ";",
    "|",
    "2",
    ">",
    "<",
    "<<",
    "$",
    "case",
    "x=",
    "{",
    "!",
    "&",
    "$U",
    "$1",
    "$?",
    "$$",
    "~",
    "~root",
    "/",
    ":",
    "((",
    "$[",
    "]",
    "a[",
    "sh -c ",
    "bash -ec '",
    "eval ",
    "ssh h ",
    "trap ",
    " EXIT",
    "[[ ",
    " -eq 1 ]]",
    "let ",
    "=",
];

/// Whether a shell can read the script.
fn is_sound(shell: &str, script: &str) -> bool {
    Command::new(shell).args(["-n", "-c", script]).output().unwrap().status.success()
}

/// Whether a value did something of its own when a shell ran the script.
fn breaks_out(shell: &str, script: &str, folder: &std::path::Path) -> bool {
    let place = tempfile::tempdir_in(folder).unwrap();
    let mut command = Command::new(shell);
    let path = format!("{}:/usr/bin:/bin", folder.display());
    command.args(["-c", script]).current_dir(place.path()).env_clear().env("PATH", path);
    command.stdin(std::process::Stdio::null()).output().unwrap();
    place.path().join("PWN").exists()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn no_value_breaks_out_of_any_text(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 1..14),
        value in prop::sample::select(&[
            "\n:>PWN;#", "'\n:>PWN;#", "\"\n:>PWN;#", ")\n:>PWN;#", "}\n:>PWN;#", "$(:>PWN)", "`:>PWN`", "';:>PWN;'",
            "\";:>PWN;\"", "}$(:>PWN)", "';$(:>PWN);'", "\\\";:>PWN;\\\"", "\\';:>PWN;\\'", "))\n:>PWN\n((",
            "a[$(:>PWN)]", "a[`:>PWN`]=1", ":>PWN",
        ][..]),
    ) {
        let template = pieces.concat();
        let with = |value| insert(&template.replace('@', &mark_word(value).unwrap()));
        if let (Ok(harmless), Ok(script)) = (with("v"), with(value)) {
            let folder = tempfile::tempdir().unwrap();
            let ssh = folder.path().join("ssh");
            std::fs::write(&ssh, "#!/bin/sh\nshift\neval \"$*\"\n").unwrap();
            std::fs::set_permissions(&ssh, std::fs::Permissions::from_mode(0o755)).unwrap();
            // What a shell does with a text that it cannot read is its own affair.
            for shell in ["/bin/sh", "/bin/bash"].iter().filter(|shell| is_sound(shell, &harmless)) {
                prop_assert!(!breaks_out(shell, &script, folder.path()), "{shell}: {template:?} became {script}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_value_in_any_quotes_arrives_unchanged(value in "[^\0]{0,20}", quote in "['\"]?") {
        prop_assume!(check(&value).is_ok());
        let script = insert(&format!("printf '%s\\0' {quote}{}{quote}", mark_word(&value).unwrap())).unwrap();
        prop_assert_eq!(words(&script), [value]);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[\u{FDD0}-\u{FDD3}a-e'\"$(){}`#<\\\\ \n]{0,40}") {
        let _ = insert(&text);
    }
}
