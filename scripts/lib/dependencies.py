"""Tells what the binary is made of: reads what `cargo metadata` prints.

notices NAME=FILE…  the licences of all that is linked into it; the arguments are what is no crate, and the file of its licence
sbom                a CycloneDX bill of materials; of the time in SOURCE_DATE_EPOCH, and without a path of this machine
"""

import json
import os
import re
import sys
from collections import defaultdict
from datetime import datetime, timezone
from pathlib import Path

OURS = "clusterwork"
IS_LICENCE = re.compile(r"(licen[cs]e|copying|copyright|notice|unlicense)", re.IGNORECASE)


def linked(metadata):
    """The packages that the binary is made of, without those that only build or test it."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    packages = {package["id"]: package for package in metadata["packages"]}
    left = [identity for identity, package in packages.items() if package["name"] == OURS]
    found = set()
    while left:
        identity = left.pop()
        if identity not in found:
            found.add(identity)
            deps = nodes[identity]["deps"]
            left += [dep["pkg"] for dep in deps if any(kind["kind"] is None for kind in dep["dep_kinds"])]
    return sorted((packages[identity] for identity in found), key=lambda package: (package["name"], package["version"]))


def texts(package):
    """The licences and notices that a package carries."""
    folder = Path(package["manifest_path"]).parent
    named = [folder / package["license_file"]] if package["license_file"] else []
    files = named or sorted(file for file in folder.iterdir() if file.is_file() and IS_LICENCE.match(file.name))
    if not files:
        sys.exit(f"error: {package['name']} {package['version']} carries no licence")
    return [file.read_text("utf-8", "replace") for file in files]


def notices(packages, more):
    rows = []
    users = defaultdict(list)
    for package in packages:
        name = f"{package['name']} {package['version']}"
        rows.append(f"{name}  {package['license']}  {package['repository'] or ''}".rstrip())
        for text in texts(package):
            users[text.strip()].append(name)
    for argument in more:
        name, file = argument.split("=", 1)
        rows.append(name)
        users[Path(file).read_text("utf-8").strip()].append(name)
    print("cw2 contains these works, under the licences that follow:\n")
    print("\n".join(rows))
    for text, names in users.items():
        print(f"\n{'=' * 80}\n{', '.join(names)}\n{'-' * 80}\n{text}")


def sbom(packages, nodes):
    lock = Path("Cargo.lock").read_text("utf-8")
    entry = r'name = "(.+)"\nversion = "(.+)"\nsource = ".+"\nchecksum = "(.+)"'
    checksums = {(name, version): checksum for name, version, checksum in re.findall(entry, lock)}
    references = {package["id"]: f"pkg:cargo/{package['name']}@{package['version']}" for package in packages}

    def component(package):
        reference = references[package["id"]]
        told = {
            "type": "application" if package["name"] == OURS else "library",
            "bom-ref": reference,
            "name": package["name"],
            "version": package["version"],
            "description": package["description"],
            # A slash is how `OR` was once written.
            "licenses": [{"expression": package["license"].replace("/", " OR ")}],
            "purl": reference,
        }
        if checksum := checksums.get((package["name"], package["version"])):
            told["hashes"] = [{"alg": "SHA-256", "content": checksum}]
        return told

    def dependencies(package):
        needed = {references[dep["pkg"]] for dep in nodes[package["id"]]["deps"] if dep["pkg"] in references}
        return {"ref": references[package["id"]], "dependsOn": sorted(needed)}

    time = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), timezone.utc)
    [ours] = [package for package in packages if package["name"] == OURS]
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ"), "component": component(ours)},
        "components": [component(package) for package in packages if package is not ours],
        "dependencies": [dependencies(package) for package in packages],
    }
    json.dump(bill, sys.stdout, indent=1, ensure_ascii=False)
    print()


def main():
    metadata = json.load(sys.stdin)
    packages = linked(metadata)
    if sys.argv[1] == "sbom":
        sbom(packages, {node["id"]: node for node in metadata["resolve"]["nodes"]})
    else:
        notices([package for package in packages if package["name"] != OURS], sys.argv[2:])


main()
