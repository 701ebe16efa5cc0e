//! `cw2 status`: the table.

use super::human;
use super::progress::{Estimate, Progress};
use super::status::Row;
use crate::run::effective_state::EffectiveState;

/// Cells of the bar.
const BAR: u64 = 20;

/// The table with a line for each row and, under several, one for all of them. Ways to stand that nothing stands in have no
/// column. Where the cluster could not be asked, what a status file calls running is unverified.
pub fn render(rows: &[Row], total: &Row, cluster_known: bool) -> String {
    let shown: Vec<_> = EffectiveState::ALL
        .into_iter()
        .filter(|effective| *effective == EffectiveState::Completed || total.progress.count(*effective) > 0)
        .collect();
    let with_paths = rows.iter().any(|row| row.path != total.path);
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    let mut header: Vec<String> = Vec::new();
    header.extend(with_paths.then(|| "PATH".to_owned()));
    header.push("EXPERIMENT".to_owned());
    header.extend(rows.iter().any(|row| row.run.is_some()).then(|| "RUN".to_owned()));
    let texts = header.len();
    header.extend(["PROGRESS", "", "TOTAL"].map(str::to_owned));
    header.extend(shown.iter().map(|effective| match effective {
        EffectiveState::Running if !cluster_known => "RUNNING (UNVERIFIED)".to_owned(),
        effective => effective.word().to_uppercase(),
    }));
    header.extend(["TIME USED", "DONE IN"].map(str::to_owned));
    let numbers = texts + 1..header.len();
    table.set_header(header);
    let all = (rows.len() > 1).then_some(total);
    for row in rows.iter().chain(all) {
        let mut cells = Vec::new();
        cells.extend(with_paths.then(|| row.path.clone()));
        cells.push(row.experiment.clone());
        if texts > cells.len() {
            cells.push(row.run.clone().unwrap_or_default());
        }
        let progress = &row.progress;
        cells.extend([bar(progress), percent(progress), human::count(progress.total())]);
        cells.extend(shown.iter().map(|effective| human::count(progress.count(*effective))));
        cells.extend([human::seconds(progress.seconds), estimate(row.estimate)]);
        table.add_row(cells);
    }
    for column in numbers {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(comfy_table::CellAlignment::Right);
        }
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// `#` finished, `!` failed or lost, `>` at their end where some run, `.` not done: in that order.
fn bar(progress: &Progress) -> String {
    let total = progress.total().max(1);
    let running = progress.count(EffectiveState::Running);
    let failed = progress.total() - progress.finished() - waiting(progress) - running;
    let mut bar = String::from("[");
    let (mut reps, mut cells) = (0, 0);
    for (count, mark) in [(progress.finished(), '#'), (failed, '!')] {
        reps += count;
        // Only what is whole is drawn as whole: one that is left keeps its cell.
        let end = (reps * BAR).checked_div(total).unwrap_or(0);
        bar.extend((cells..end).map(|_| mark));
        cells = end;
    }
    if running > 0 && cells < BAR {
        bar.push('>');
        cells += 1;
    }
    bar.extend((cells..BAR).map(|_| '.'));
    bar.push(']');
    bar
}

fn waiting(progress: &Progress) -> u64 {
    [EffectiveState::Interrupted, EffectiveState::Queued, EffectiveState::Pending]
        .into_iter()
        .map(|s| progress.count(s))
        .sum()
}

/// Rounded down: 100 % is all.
fn percent(progress: &Progress) -> String {
    format!("{} %", (progress.finished() * 100).checked_div(progress.total()).unwrap_or(100))
}

/// When it will be done, in a few words.
pub(super) fn estimate(estimate: Estimate) -> String {
    match estimate {
        Estimate::Done => "done".to_owned(),
        Estimate::Idle => "stopped".to_owned(),
        Estimate::Seconds(seconds) => format!("~{}", human::seconds(seconds)),
        Estimate::Unknown(why) => format!("unknown ({why})"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::progress::tests::{now, status};
    use super::*;

    fn row(experiment: &str, run: Option<&str>, reps: &[(EffectiveState, u64)]) -> Row {
        let mut progress = Progress::default();
        for (effective, count) in reps {
            let known = effective.is_finished().then(|| status("completed", 60.0));
            (0..*count).for_each(|_| progress.add(*effective, known.as_ref(), now()));
        }
        let estimate = super::super::progress::estimate([&progress].into_iter(), true);
        Row {
            path: "out".to_owned(),
            experiment: experiment.to_owned(),
            run: run.map(str::to_owned),
            progress,
            estimate,
        }
    }

    fn render_rows(rows: &[Row]) -> String {
        let mut total = row("all", None, &[]);
        for row in rows {
            total.progress.merge(&row.progress);
        }
        total.estimate = super::super::progress::estimate(rows.iter().map(|row| &row.progress), true);
        render(rows, &total, true)
    }

    #[test]
    fn only_what_occurs_has_a_column() {
        let rows = [row("mnist", None, &[(EffectiveState::Completed, 3)])];
        insta::assert_snapshot!(render_rows(&rows), @r"
        EXPERIMENT  PROGRESS                       TOTAL  COMPLETED  TIME USED  DONE IN
        mnist       [####################]  100 %      3          3     3m 00s     done
        ");
    }

    #[test]
    fn several_rows_have_a_total() {
        use EffectiveState::*;
        let rows = [
            row("mnist", None, &[(Completed, 1200), (Surrendered, 1), (Crashed, 40), (Running, 7), (Queued, 300)]),
            row("ablation of everything", None, &[(TimedOut, 1), (Interrupted, 1), (Lost, 1), (Pending, 1)]),
        ];
        insta::assert_snapshot!(render_rows(&rows), @r"
        EXPERIMENT              PROGRESS                      TOTAL  COMPLETED  SURRENDERED  CRASHED  TIMED OUT  INTERRUPTED  RUNNING  QUEUED  LOST  PENDING  TIME USED   DONE IN
        mnist                   [###############!>...]  77 %  1,548      1,200            1       40          0            0        7     300     0        0    20h 01m  ~42m 51s
        ablation of everything  [!!!!!!!!!!..........]   0 %      4          0            0        0          1            1        0       0     1        1      0.0 s   stopped
        all                     [###############!>...]  77 %  1,552      1,200            1       40          1            1        7     300     1        1    20h 01m  ~43m 00s
        ");
    }

    #[test]
    fn runs_and_paths_have_columns_where_they_are_told() {
        let mut rows = [
            row("e", Some("e__a1"), &[(EffectiveState::Completed, 1)]),
            row("e", Some("e__a2"), &[(EffectiveState::Pending, 1)]),
        ];
        rows[1].path = "elsewhere".to_owned();
        insta::assert_snapshot!(render_rows(&rows), @r"
        PATH       EXPERIMENT  RUN    PROGRESS                       TOTAL  COMPLETED  PENDING  TIME USED  DONE IN
        out        e           e__a1  [####################]  100 %      1          1        0     1m 00s     done
        elsewhere  e           e__a2  [....................]    0 %      1          0        1      0.0 s  stopped
        out        all                [##########..........]   50 %      2          1        1     1m 00s  stopped
        ");
    }

    #[test]
    fn a_bar_is_full_only_when_all_are_finished() {
        use EffectiveState::*;
        for (reps, expected) in [
            (vec![(Completed, 1000)], "[####################]"),
            (vec![(Completed, 999), (Pending, 1)], "[###################.]"),
            (vec![(Completed, 10), (Crashed, 5), (Running, 3), (Queued, 2)], "[##########!!!!!>....]"),
            (vec![(Running, 4)], "[>...................]"),
            (vec![(Completed, 999), (Running, 1)], "[###################>]"),
            (vec![], "[....................]"),
        ] {
            assert_eq!(bar(&row("e", None, &reps).progress), expected, "{reps:?}");
        }
    }
}
