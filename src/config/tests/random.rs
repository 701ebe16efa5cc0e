//! `random…`: what is drawn, and each message.

use super::*;

/// The points of a `random` key, as JSON.
fn points(text: &str) -> Vec<String> {
    let e = one(&format!("{GOOD}random: {{{text}}}\n"), &request());
    let axes = &e.sweeps[0].axes;
    let point = |index: usize| Value::List(axes.iter().map(|axis| axis.values[index].to_value()).collect()).to_json();
    (0..axes[0].values.len()).map(point).collect()
}

/// These numbers must never change: they are the names and parameters of finished runs. The first is made of the SHA-256 of
/// `[1,"random",["u"],0]`.
#[test]
fn points_are_these_for_ever() {
    let all = "samples: 3, seed: 1, u: {uniform: [0, 1]}, l: {log_uniform: [1e-4, 1e-1]}, i: {int_uniform: [1, 4]}, \
               n: {normal: [0, 1]}, e: {log_normal: [0, 1]}, c: {choice: [a, b]}, q: {uniform: [0, 0.5, 0.05]}, \
               k: {log_uniform: [16, 1024, 16]}, r: {normal: [0, 1, 0.5]}, d: {p: {uniform: [0, 1]}}";
    insta::assert_snapshot!(points(all).join("\n"), @r#"
    [0.11939106628426954,0.00033927523744533845,4,-0.6298846252635274,1.0883539213011177,"a",0.2,32,1.0,0.08436673859389532]
    [0.07061281501422856,0.06506967481741711,2,0.12649347530044586,0.5528952171668415,"a",0.4,32,1.0,0.5494184276717072]
    [0.6180727497470263,0.07473699013844302,3,-0.7321711592759303,8.820999670057681,"a",0.5,64,1.0,0.8456668602570879]
    "#);
}

#[test]
fn a_number_is_the_first_53_bits_of_a_hash() {
    use sha2::{Digest as _, Sha256};
    let digest = Sha256::digest(br#"[7,"random",["net","drop"],2]"#);
    let bits = digest.iter().take(8).fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    #[expect(clippy::cast_precision_loss, reason = "53 bits")]
    let unit = (bits >> 11) as f64 / 2_f64.powi(53);
    let drawn = points("samples: 3, seed: 7, net: {drop: {uniform: [0, 1]}}");
    assert_eq!(drawn[2], Value::List(vec![Value::Float(unit)]).to_json());
}

#[test]
fn points_stay_inside_and_keep_their_kind() {
    let drawn = points(
        "samples: 400, a: {int_uniform: [-2, 2]}, b: {uniform: [0.1, 0.5, 0.2]}, c: {log_uniform: [8, 100, 8]}, d: {uniform: [3, 3]}",
    );
    let mut seen = [const { std::collections::BTreeSet::new() }; 4];
    for point in &drawn {
        let Ok(Value::List(values)) = Value::from_json(point) else { panic!("a list") };
        for (seen, value) in seen.iter_mut().zip(values) {
            seen.insert(value.to_json());
        }
    }
    let [a, b, c, d] = seen.map(|seen| seen.into_iter().collect::<Vec<_>>().join(" "));
    assert_eq!((&*a, &*b, &*d), ("-1 -2 0 1 2", "0.1 0.3 0.5", "3.0"));
    assert!(c.split(' ').all(|c| c.parse::<u32>().is_ok_and(|c| (8..=96).contains(&c) && c % 8 == 0)), "{c}");
}

#[test]
fn a_point_comes_once() {
    let text = format!("{GOOD}random: {{samples: 50, a: {{choice: [1, 2]}}, b: {{choice: [x, y]}}}}\n");
    assert_eq!(one(&text, &request()).sweeps[0].axes[0].values.len(), 4);
    assert_eq!(
        warnings(&text, &request()),
        "note: `random` gives 4 different points in 50 samples
 --> c.yml:5:1
  |
5 | random: {samples: 50, a: {choice: [1, 2]}, b: {choice: [x, y]}}
  | ^^^^^^
  |
  = help: each point is run once"
    );
}

#[test]
fn a_parameter_may_be_called_seed() {
    let drawn = points("samples: 2, seed: {int_uniform: [5, 5]}, x: {uniform: [0, 1]}");
    assert!(drawn.iter().all(|point| point.starts_with("[5,")), "{drawn:?}");
}

#[test]
fn what_is_wrong_is_told() {
    for (text, message) in [
        ("lr: {uniform: [0, 1]}", "`random` does not say how many `samples` to draw"),
        ("samples: 0, lr: {uniform: [0, 1]}", "`random.samples` must be 1 to 1000000, found the number `0`"),
        ("samples: 3", "`random` names no parameter"),
        ("samples: 3, seed: x, lr: {uniform: [0, 1]}", "`random.seed` must be a whole number, found the text `x`"),
        ("samples: 3, lr: 0.1", "`random.lr` must be a distribution, found the number `0.1`"),
        ("samples: 3, lr: [0.1, 1]", "`random.lr` must be a distribution, found a list"),
        ("samples: 3, lr: {}", "`random.lr` is an empty mapping"),
        ("samples: 3, lr: {unifrom: [0, 1]}", "`unifrom` is no distribution"),
        ("samples: 3, lr: {quniform: [0, 1, 0.1]}", "`quniform` is no distribution"),
        (
            "samples: 3, lr: {uniform: [0, 1], normal: [0, 1]}",
            "`random.lr` has more than one key, `uniform` among them",
        ),
        ("samples: 3, lr: {uniform: [1, 0]}", "`random.lr.uniform` ends below its start"),
        (
            "samples: 3, lr: {uniform: [1]}",
            "`random.lr.uniform` takes `[low, high]` and perhaps a step, found a list of 1",
        ),
        ("samples: 3, lr: {uniform: [0, 1, 0]}", "`random.lr.uniform` has a step that is not above 0"),
        (
            "samples: 3, lr: {uniform: [0, .inf]}",
            "`random.lr.uniform` takes `[low, high]` and perhaps a step, found the number `Infinity`",
        ),
        ("samples: 3, lr: {log_uniform: [0, 1]}", "`random.lr.log_uniform` must start above 0"),
        ("samples: 3, lr: {int_uniform: [0, 1.5]}", "`random.lr.int_uniform` must have whole numbers"),
        ("samples: 3, lr: {normal: [0, -1]}", "`random.lr.normal` has a deviation below 0"),
        ("samples: 3, lr: {choice: []}", "`random.lr.choice` has no values"),
        ("samples: 3, lr: {choice: 3}", "`random.lr.choice` must be a list, found the number `3`"),
    ] {
        let shown = errors(&format!("{GOOD}random: {{{text}}}\n"), &request());
        assert!(shown.starts_with(&format!("error: {message}\n --> c.yml:5:")), "{text}\n{shown}");
    }
    let quantised = errors(&format!("{GOOD}random: {{samples: 1, a: {{qloguniform: [1, 2, 3]}}}}\n"), &request());
    assert!(quantised.contains("write `{log_uniform: [low, high, step]}`"), "{quantised}");
}
