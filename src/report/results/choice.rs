//! Which value of which metric is wanted of each repetition.

use crate::run::history::Pick;

/// A value that is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The metric.
    pub metric: String,
    /// Which of its values.
    pub pick: Pick,
}

impl Choice {
    /// The last value of a metric.
    pub fn last(metric: impl Into<String>) -> Self {
        Choice { metric: metric.into(), pick: Pick::Last }
    }

    /// What heads its column: `loss`, `loss@10`, `min(loss)`, `test@max(val)`.
    pub fn label(&self) -> String {
        let metric = &self.metric;
        let word = |maximize: bool| if maximize { "max" } else { "min" };
        match &self.pick {
            Pick::Last => metric.clone(),
            Pick::At(step) => format!("{metric}@{step}"),
            Pick::Best { maximize, by: None } => format!("{}({metric})", word(*maximize)),
            Pick::Best { maximize, by: Some(by) } => format!("{metric}@{}({by})", word(*maximize)),
        }
    }
}

/// The name in a list that a misspelt one was probably meant to be.
pub fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = names.into_iter().map(|name| (strsim::damerau_levenshtein(word, name), name));
    let most = word.chars().count().div_ceil(3).min(3);
    near.filter(|(distance, _)| *distance <= most).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// Says what there is instead of a name that there is not.
pub fn instead<'a>(word: &str, names: impl IntoIterator<Item = &'a str> + Clone, what: &str) -> String {
    const NAMED: usize = 20;
    if let Some(near) = nearest(word, names.clone()) {
        return format!("did you mean `{near}`?");
    }
    let names: Vec<_> = names.into_iter().collect();
    if names.is_empty() {
        return format!("there are no {what}");
    }
    let shown: Vec<_> = names.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
    let more = if names.len() > NAMED { format!(" and {} more", names.len() - NAMED) } else { String::new() };
    format!("the {what} are {}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_say_which_value_it_is() {
        let choice = |pick| Choice { metric: "loss".to_owned(), pick }.label();
        assert_eq!(choice(Pick::Last), "loss");
        assert_eq!(choice(Pick::At(10.0)), "loss@10");
        assert_eq!(choice(Pick::Best { maximize: false, by: None }), "min(loss)");
        assert_eq!(choice(Pick::Best { maximize: true, by: Some("val".to_owned()) }), "loss@max(val)");
    }

    #[test]
    fn a_misspelt_name_is_guessed() {
        let names = ["loss", "test_acc"];
        assert_eq!(instead("los", names, "metrics"), "did you mean `loss`?");
        assert_eq!(instead("acc", names, "metrics"), "the metrics are `loss`, `test_acc`");
        assert_eq!(instead("acc", [], "metrics"), "there are no metrics");
    }
}
