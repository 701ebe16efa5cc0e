//! A script that was written, read back: what it asks of Slurm, and the lines before the worker. The script is what jobs run,
//! whoever edited it since.

use crate::config::option;

/// Options of sbatch that salloc does not have, or that are about an array's jobs and their logs.
const OF_JOBS_ALONE: [&str; 16] = [
    "array",
    "begin",
    "chdir",
    "comment",
    "dependency",
    "error",
    "export",
    "export-file",
    "hold",
    "input",
    "mail-type",
    "mail-user",
    "open-mode",
    "output",
    "requeue",
    "signal",
];

/// The options of the `#SBATCH` lines, by their long names, in their order.
pub fn options(script: &str) -> Vec<(String, Option<String>)> {
    let header = script.lines().take_while(|line| line.trim().is_empty() || line.starts_with('#'));
    let words = header.filter_map(arguments).flatten();
    let mut found: Vec<(String, Option<String>)> = Vec::new();
    for word in words {
        if let Some(long) = word.strip_prefix("--") {
            let (key, value) = long.split_once('=').map_or((long, None), |(key, value)| (key, Some(value.to_owned())));
            found.push((option::long_name(key).to_owned(), value));
        } else if let Some(short) = word.strip_prefix('-') {
            let (key, value) = short.split_at(short.chars().next().map_or(0, char::len_utf8));
            let value = Some(value.to_owned()).filter(|value| !value.is_empty());
            found.push((option::long_name(key).to_owned(), value));
        } else if let Some((_, value @ None)) = found.last_mut() {
            *value = Some(word);
        }
    }
    found
}

/// The arguments of an `#SBATCH` line, as sbatch itself reads them; `None` where it is no such line, or sbatch refuses it.
pub fn arguments(line: &str) -> Option<Vec<String>> {
    let mut rest = line.strip_prefix("#SBATCH")?.chars().peekable();
    let lower = line.to_ascii_lowercase();
    // They begin another component of the job.
    if lower.contains("hetjob") || lower.contains("packjob") {
        return None;
    }
    let mut arguments = Vec::new();
    loop {
        while rest.next_if(char::is_ascii_whitespace).is_some() {}
        let (mut argument, mut quote, mut escaped) = (String::new(), None, false);
        while let Some(c) = rest.next_if(|c| quote.is_some() || !c.is_ascii_whitespace()) {
            match (escaped, c, quote) {
                (true, _, _) => escaped = false,
                (_, '\\', _) => {
                    escaped = true;
                    continue;
                }
                (_, c, Some(open)) if c == open => {
                    quote = None;
                    continue;
                }
                (_, '"' | '\'', None) => {
                    quote = Some(c);
                    continue;
                }
                // The rest of the line is a comment.
                (_, '#', None) => {
                    rest = "".chars().peekable();
                    break;
                }
                _ => {}
            }
            argument.push(c);
        }
        if quote.is_some() {
            return None;
        }
        if argument.is_empty() {
            return Some(arguments);
        }
        arguments.push(argument);
    }
}

/// The same as salloc takes them: what is asked for one job.
pub fn allocation(script: &str) -> Vec<String> {
    let own = |key: &str| OF_JOBS_ALONE.contains(&key) || matches!(key, "no-requeue" | "kill-on-invalid-dep");
    let wanted = options(script).into_iter().filter(|(key, _)| !own(key));
    let word = |(key, value)| match value {
        Some(value) => format!("--{key}={value}"),
        None => format!("--{key}"),
    };
    wanted.map(word).collect()
}

/// The files that Slurm writes a job's output to, as file name patterns: standard output, and standard error where it has its
/// own.
pub fn logs(script: &str) -> Vec<String> {
    let options = options(script);
    let last = |wanted: &str| options.iter().rev().find(|(key, _)| key == wanted).and_then(|(_, value)| value.clone());
    last("output").into_iter().chain(last("error")).collect()
}

/// A file name pattern with an element's numbers, as a pattern of `*` and `?` where it holds what only Slurm knows.
pub fn fill_in(pattern: &str, job: u64, index: u64) -> String {
    let mut name = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            name.push(c);
            continue;
        }
        let field = chars.by_ref().find(|c| !c.is_ascii_digit());
        match field {
            Some('%') => name.push('%'),
            Some('A') => name.push_str(&job.to_string()),
            Some('a') => name.push_str(&index.to_string()),
            _ => name.push('*'),
        }
    }
    name
}

/// The element that a file of this name is the log of, by its array's job id and its number; `None` where the name does not tell.
pub fn element_of(pattern: &str, name: &str) -> Option<(u64, u64)> {
    let (mut job, mut index) = (None, None);
    let mut rest = name;
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            rest = rest.strip_prefix(c)?;
            continue;
        }
        let place = match chars.next()? {
            '%' => {
                rest = rest.strip_prefix('%')?;
                continue;
            }
            'A' => &mut job,
            'a' => &mut index,
            _ => return None,
        };
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at_checked(digits)?;
        *place = Some(number.parse().ok()?);
        rest = after;
    }
    rest.is_empty().then_some(())?;
    Some((job?, index?))
}

/// How a script prepares its worker, and what it does afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preparation {
    /// The program that reads the script, and its argument.
    pub interpreter: Vec<String>,
    /// The lines before the worker.
    pub before: String,
    /// Those behind it, where the shell waits for it.
    pub after: Option<String>,
}

/// How a script prepares its worker; `None` where no line starts one.
pub fn preparation(script: &str) -> Option<Preparation> {
    let lines: Vec<&str> = script.lines().collect();
    let waits = |line: &str| line.trim_end().ends_with(super::STARTS);
    let starts = |line: &&str| line.trim_start().starts_with("exec ") || waits(line);
    let worker = lines.iter().rposition(|line| starts(line) && line.contains(" worker --plan "))?;
    let first = lines.first()?.strip_prefix("#!")?;
    // As the kernel reads it: the program, and all the rest as one argument.
    let (program, argument) = first.trim().split_once(char::is_whitespace).unwrap_or((first.trim(), ""));
    let interpreter =
        [program, argument.trim()].into_iter().filter(|word| !word.is_empty()).map(str::to_owned).collect();
    let of_slurm = |line: &&&str| !line.starts_with("export SRUN_CPUS_PER_TASK=") && !line.starts_with("#!");
    let own = lines.iter().take(worker).filter(of_slurm).filter(|line| !line.starts_with("#SBATCH"));
    let before = own.copied().collect::<Vec<_>>().join("\n");
    let rest = lines.split_at_checked(worker + 1).map(|(_, rest)| rest.join("\n"));
    let after = rest.filter(|_| lines.get(worker).is_some_and(|line| waits(line)));
    Some(Preparation { interpreter, before, after })
}

/// Whether lines of a script hold any command.
pub fn has_commands(lines: &str) -> bool {
    lines.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "#!/bin/bash -l
# cw2: jobs 0 to 2.
#SBATCH --job-name=\"a b\"
#SBATCH --array=0-2%10 -p dev
#SBATCH --output=/p%%/x/%A_%a.log
#SBATCH --cpus-per-task=2 -n 3
#SBATCH --exclusive

module load x
export SRUN_CPUS_PER_TASK=\"$SLURM_CPUS_PER_TASK\"
exec /bin/cw2 worker --plan /p --offset 0 --index \"$SLURM_ARRAY_TASK_ID\"
#SBATCH --time=5
";

    #[test]
    fn a_script_tells_what_it_asks_for() {
        assert_eq!(
            allocation(SCRIPT),
            ["--job-name=a b", "--partition=dev", "--cpus-per-task=2", "--ntasks=3", "--exclusive"]
        );
        assert_eq!(logs(SCRIPT), ["/p%%/x/%A_%a.log"]);
        assert_eq!(logs("#!/bin/sh\n#SBATCH -o a -e b.%j\n"), ["a", "b.%j"]);
        assert_eq!(fill_in("/p%%/x/%A_%a.log", 12, 3), "/p%/x/12_3.log");
        assert_eq!(fill_in("%x.%4j-%a", 12, 3), "*.*-3");
        assert_eq!(fill_in("%", 12, 3), "*");
        assert_eq!(element_of("%%%A_%a.log", "%12_3.log"), Some((12, 3)));
        for name in ["%12_3.log~", "12_3.log", "%_3.log", "%12_x.log", ""] {
            assert_eq!(element_of("%%%A_%a.log", name), None, "{name}");
        }
        assert_eq!(element_of("%j.log", "12.log"), None);
    }

    #[test]
    fn a_script_tells_how_its_worker_is_prepared() {
        let Preparation { interpreter, before, after } = preparation(SCRIPT).unwrap();
        assert_eq!(interpreter, ["/bin/bash", "-l"]);
        assert_eq!((before.as_str(), after), ("# cw2: jobs 0 to 2.\n\nmodule load x", None));
        let waiting = SCRIPT
            .replace("exec /bin", "/bin")
            .replace("TASK_ID\"\n", "TASK_ID\" <&\"$cw2_in\" >&\"$cw2_out\" {cw2_in}<&- {cw2_out}>&- &\nwait\n");
        let expected = Some("wait\n#SBATCH --time=5".to_owned());
        assert_eq!(preparation(&waiting), Some(Preparation { interpreter, before: before.clone(), after: expected }));
        assert!(has_commands(&before) && !has_commands("# a\n\n  # b"));
        assert_eq!(preparation("#!/bin/sh\necho\n"), None);
    }
}
