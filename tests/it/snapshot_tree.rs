//! What of a project a code snapshot holds: files that are code, with their links, permissions and times.

use crate::snapshot::{EXACT, project};
use crate::support::tree;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

#[test]
fn only_code_is_copied() {
    let scene = project("experiment_copy_src: .\nexperiment_copy_dst: ../copy\nslurm_log: logs");
    for file in [
        ".hidden",
        ".git/config",
        "module/.git/config",
        "module/x",
        "__pycache__/m.cpython-311.pyc",
        "a/m.pyc",
        "tmpl.py",
        "a/data/x",
        "a/keep.log",
        "a/drop.log",
        "big/x",
        "big/y",
        "out/e/log/rep_07/out.log",
        "other/plans/keep",
    ] {
        scene.write(&format!("p/{file}"), "x");
    }
    scene.write("p/.gitignore", "*.log\nbig/\n");
    scene.write("p/.cw2ignore", "!keep.log\n/other/\n");
    scene.write("p/a/.cw2ignore", "data/\n");
    // The project is a repository: what lies above has no say.
    scene.write(".gitignore", "*\n");
    scene.in_project("plan config.yml").expect(0);
    assert_eq!(
        tree(&scene.path("copy")),
        [
            ".cw2ignore",
            ".gitignore",
            ".hidden",
            "a/",
            "a/.cw2ignore",
            "a/keep.log",
            "config.yml",
            "main.sh",
            "module/",
            "module/x",
            "tmpl.py"
        ]
    );
}

#[test]
fn results_right_in_the_source_are_left_out() {
    let scene = project(EXACT);
    let config = scene.read("p/config.yml").replace("path: out", "path: .");
    scene.write("p/config.yml", config);
    scene.write("p/e/log/rep_00/out.log", "x");
    scene.write("p/plans/001/x", "x");
    scene.in_project("plan config.yml").expect(0);
    assert_eq!(tree(&scene.path("copy")), ["config.yml", "main.sh"]);
}

#[test]
fn a_repository_above_the_source_has_its_say_and_nobody_else() {
    let scene = project("experiment_copy_src: src\nexperiment_copy_dst: ../copy");
    scene.write("p/src/a.py", "x");
    scene.write("p/src/b.bin", "x");
    scene.write("p/.gitignore", "*.bin\n");
    scene.in_project("plan config.yml").expect(0);
    assert_eq!(tree(&scene.path("copy")), ["a.py", "b.bin"]);
    fs::create_dir(scene.path("p/.git")).unwrap();
    scene.in_project("plan config.yml -o").expect(0);
    assert_eq!(tree(&scene.path("copy")), ["a.py"]);
}

#[test]
fn links_permissions_and_times_are_kept() {
    let scene = project(EXACT);
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    scene.write("p/bin/tool", "x");
    scene.write("p/frozen/x", "x");
    scene.write("data/x", "x");
    for (path, mode) in [("p/bin/tool", 0o751), ("p/main.sh", 0o400), ("p/frozen", 0o555)] {
        File::open(scene.path(path)).unwrap().set_modified(old).unwrap();
        fs::set_permissions(scene.path(path), Permissions::from_mode(mode)).unwrap();
    }
    let links: [(&str, PathBuf, PathBuf); 6] = [
        ("inside", "bin/tool".into(), "bin/tool".into()),
        ("bin/up", "../main.sh".into(), "../main.sh".into()),
        ("nowhere", "no/such".into(), "no/such".into()),
        ("bin/out", "../../data".into(), scene.path("data")),
        ("absolute", "/usr/bin".into(), "/usr/bin".into()),
        ("bin/absolute-inside", scene.path("p/main.sh"), "../main.sh".into()),
    ];
    for (link, target, _) in &links {
        symlink(target, scene.path("p").join(link)).unwrap();
    }
    nix::unistd::mkfifo(&scene.path("p/pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for (flag, copy) in [("", "copy"), ("--multicopy -o", "copy/2")] {
        scene.in_project(&format!("plan config.yml {flag}")).expect(0);
        let copy = scene.path(copy);
        for (link, _, expected) in &links {
            assert_eq!(&fs::read_link(copy.join(link)).unwrap(), expected, "{link}");
        }
        for (path, mode) in [("bin/tool", 0o751), ("main.sh", 0o400), ("frozen", 0o555)] {
            let meta = fs::metadata(copy.join(path)).unwrap();
            assert_eq!((meta.permissions().mode() & 0o777, meta.modified().unwrap()), (mode, old), "{path}");
        }
        assert!(!Path::exists(&copy.join("pipe")));
    }
}
