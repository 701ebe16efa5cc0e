use super::refuse::SIZE_LIMIT;
use super::*;
use crate::config::Experiment;
use crate::paths::clean;
use proptest::prelude::*;

fn slurm(src: Option<&str>, dst: Option<&str>, auto_dst: Option<&str>) -> Slurm {
    Slurm {
        experiment_copy_src: src.map(str::to_owned),
        experiment_copy_dst: dst.map(str::to_owned),
        experiment_copy_auto_dst: auto_dst.map(str::to_owned),
        ..Slurm::default()
    }
}

fn decided(slurm: &Slurm, wish: SnapshotFlags) -> Result<Option<Request>, String> {
    decide(slurm, Path::new("/home/u"), wish).map_err(|error| error.to_string())
}

const ZIP: SnapshotFlags = SnapshotFlags { zip: true, multicopy: false, nocodecopy: false, skip_size_check: false };
const MULTI: SnapshotFlags = SnapshotFlags { zip: false, multicopy: true, nocodecopy: false, skip_size_check: false };
const NONE: SnapshotFlags = SnapshotFlags { zip: false, multicopy: false, nocodecopy: true, skip_size_check: false };

#[test]
fn keys_and_flags_decide_together() {
    let request = |mode, place, reuse| Some(Request { mode, source: PathBuf::from("/home/u/p"), place, reuse });
    let at = |path: &str| SnapshotTarget::At(PathBuf::from(path));
    let below = || SnapshotTarget::Below(PathBuf::from("/d"));
    let exact = slurm(Some("p"), Some("../c"), None);
    let fresh = slurm(Some("p"), None, Some("/d"));
    let both = slurm(Some("p"), Some("/c"), Some("/d"));
    for (slurm, wish, expected) in [
        (&exact, SnapshotFlags::default(), request(CodeMode::Copy, at("/home/u/../c"), false)),
        (&fresh, SnapshotFlags::default(), request(CodeMode::Copy, below(), false)),
        (&both, SnapshotFlags::default(), request(CodeMode::Copy, at("/c"), false)),
        (&both, ZIP, request(CodeMode::Archive, at("/c.zip"), false)),
        (&fresh, ZIP, request(CodeMode::Archive, below(), false)),
        (&both, MULTI, request(CodeMode::PerJob, at("/c"), false)),
        (&both, NONE, request(CodeMode::Copy, at("/c"), true)),
        (&fresh, NONE, None),
        (&slurm(None, None, None), SnapshotFlags::default(), None),
        (&slurm(None, None, None), NONE, None),
    ] {
        assert_eq!(decided(slurm, wish), Ok(expected), "{wish:?}");
    }
    let in_plan = Request {
        mode: CodeMode::Archive,
        source: PathBuf::from("/home/u"),
        place: SnapshotTarget::InPlan,
        reuse: false,
    };
    assert_eq!(decided(&slurm(None, None, None), ZIP), Ok(Some(in_plan)));
}

#[test]
fn keys_that_lack_each_other_are_refused() {
    let source = "the code snapshot is incomplete: SLURM has `experiment_copy_src`, but neither `experiment_copy_dst` nor \
                  `experiment_copy_auto_dst`; say where the copy goes, or remove the source";
    let place = "the code snapshot is incomplete: SLURM has a destination, but no `experiment_copy_src`; say what is \
                 copied, or remove the destination";
    for wish in [SnapshotFlags::default(), ZIP, MULTI, NONE] {
        assert_eq!(decided(&slurm(Some("p"), None, None), wish), Err(source.to_owned()));
        assert_eq!(decided(&slurm(None, Some("c"), None), wish), Err(place.to_owned()));
        assert_eq!(decided(&slurm(None, None, Some("c")), wish), Err(place.to_owned()));
    }
    let nothing = "`--multicopy` needs a code snapshot; set `experiment_copy_src` and `experiment_copy_dst` (or \
                   `experiment_copy_auto_dst`) in SLURM";
    assert_eq!(decided(&slurm(None, None, None), MULTI), Err(nothing.to_owned()));
}

#[test]
fn experiments_share_a_snapshot_or_have_places_of_their_own() {
    let experiment = |slurm: Slurm| Experiment { slurm, ..crate::experiment::testing::experiment("e", "{}", vec![]) };
    let all = |slurms: &[Slurm]| {
        let experiments: Vec<_> = slurms.iter().cloned().map(experiment).collect();
        requests(experiments.iter().map(|experiment| &experiment.slurm), Path::new("/home/u"), SnapshotFlags::default())
            .map_err(|error| error.to_string())
    };
    let a = slurm(Some("a"), Some("/c"), None);
    assert_eq!(all(&[a.clone(), Slurm::default(), a.clone()]).unwrap().len(), 1);
    assert_eq!(all(&[a.clone(), slurm(Some("b"), Some("/d"), None)]).unwrap().len(), 2);
    assert_eq!(all(&[slurm(Some("a"), None, Some("/d")), slurm(Some("b"), None, Some("/d"))]).unwrap().len(), 2);
    assert_eq!(
        all(&[a, slurm(Some("b"), Some("/c"), None)]).unwrap_err(),
        "the code snapshots of `/home/u/a` and `/home/u/b` have the same destination `/c`; give each its own, or use \
         `experiment_copy_auto_dst`"
    );
}

#[test]
fn a_destination_may_not_touch_what_must_stay() {
    let keep = [("the results folder", Path::new("/home/u/out"))];
    let check =
        |place: &str| check_place(Path::new("/home/u/p"), Path::new(place), &keep).map_err(|error| error.to_string());
    assert_eq!(check("/home/u/p2"), Ok(()));
    assert_eq!(check("/home/u/out/code"), Ok(()));
    for (place, problem) in [
        ("/home/u/p", "lies inside its source `/home/u/p`"),
        ("/home/u/p/a/b", "lies inside its source `/home/u/p`"),
        ("/home/u", "holds its source `/home/u/p`"),
        ("/", "holds its source `/home/u/p`"),
        ("/home/u/out", "holds the results folder `/home/u/out`"),
    ] {
        let error = check(place).unwrap_err();
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn a_large_source_is_refused_with_what_makes_it_large() {
    let files = [
        ("data/raw/a.bin", 150_000_000),
        ("data/raw/b.bin", 30_000_000),
        ("data/c.bin", 10_000_000),
        ("src/main.py", 1),
        ("notes", 10_000_000),
        ("model.pt", 20_000_000),
    ];
    let check = |files: &[(&str, u64)], any_size| {
        let files = files.iter().map(|(path, size)| (Path::new(*path), *size));
        check_size(Path::new("/p"), files, any_size).map_err(|error| error.to_string())
    };
    assert_eq!(
        check(&files, false).unwrap_err(),
        "the code snapshot of `/p` would have 220.1 MB, more than 200 MB; the largest: `data` (190 MB), `model.pt` \
         (20 MB), `notes` (10 MB), `src` (1 byte); list what is not code in `.cw2ignore`, or plan \
         with `--skipsizecheck`"
    );
    assert_eq!(check(&files, true), Ok(()));
    assert_eq!(check(&[("a", SIZE_LIMIT)], false), Ok(()));
    assert!(check(&[("a", SIZE_LIMIT), ("b", 1)], false).is_err());
    assert!(check(&[("a", u64::MAX), ("b", u64::MAX)], false).is_err());
    assert!(check(&[], true).unwrap_err().contains("would be empty"));
}

#[test]
fn fresh_names_differ_within_a_second() {
    let names = [1, 2, 3].map(|n| fresh_name("20260102-030405", n, CodeMode::Copy));
    assert_eq!(names, ["20260102-030405", "20260102-030405-2", "20260102-030405-3"]);
    assert_eq!(fresh_name("20260102-030405", 2, CodeMode::Archive), "20260102-030405-2.zip");
}

fn path() -> impl Strategy<Value = PathBuf> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "..", ".", "p", "home"]), 0..7)
        .prop_map(|parts| parts.into_iter().collect())
}

proptest! {
    #[test]
    fn a_link_in_a_copy_never_sees_the_source_by_an_absolute_path(link in path(), target in path(), absolute: bool) {
        let (source, copy) = (Path::new("/home/u/p"), Path::new("/copies/1"));
        let link = PathBuf::from("x").join(link.iter().filter(|part| *part != "..").collect::<PathBuf>()).join("l");
        let target = if absolute { Path::new("/").join(target) } else { target };
        let there = clean(&source.join(link.parent().unwrap()).join(&target));
        let found = relink(source, &link, &target, |_| true);
        let here = clean(&copy.join(link.parent().unwrap()).join(&found));
        // What was inside stays inside, at the same place; what was outside stays where it was.
        let expected = there.strip_prefix(source).map_or_else(|_| there.clone(), |inner| clean(&copy.join(inner)));
        prop_assert_eq!(here, expected);
    }

    #[test]
    fn every_entry_of_a_python_path_is_kept_once(entries in prop::collection::vec(path(), 0..5)) {
        let (root, source) = (Path::new("/home/u"), Path::new("/home/u/p"));
        let joined = std::env::join_paths(&entries).unwrap();
        let found = python_path(Some(joined.as_os_str()), root, source, clean);
        prop_assert!(found.contains(&PathEntry::InCopy(PathBuf::new())));
        for entry in entries.iter().filter(|_| !joined.is_empty()) {
            let entry = clean(&root.join(entry));
            let expected = match entry.strip_prefix(source) {
                Ok(inner) => PathEntry::InCopy(inner.to_owned()),
                Err(_) => PathEntry::Elsewhere(entry),
            };
            prop_assert_eq!(found.iter().filter(|found| **found == expected).count(), 1);
        }
    }
}
