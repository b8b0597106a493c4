#!/usr/bin/env python3
"""Makes the bf16 and NVFP4 forms of the bundled tiny-r1 for the tests, and checks every shard's
SHA-256.

  make_formats.py --out build/host/models     writes tiny-r1-bf16 and tiny-r1-nvfp4 below that folder

A form whose shards are there and have the right sums is left alone. Needs numpy.
"""

import argparse
import hashlib
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODELS = HERE.parents[1] / "tests" / "models"
MASTER = MODELS / "tiny-r1"
CALIBRATION = MODELS / "calibration.json"
SUMS_FILE = HERE / "formats.sha256"


def wanted_sums():
    """{form: {shard file name: sum}}."""
    forms = {}
    for line in SUMS_FILE.read_text().splitlines():
        digest, path = line.split()
        form, file_name = path.split("/")
        forms.setdefault(form, {})[file_name] = digest
    return forms


def shard_sums(folder):
    paths = sorted(folder.glob("*.safetensors"))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def make(form, sums, out):
    """Exports beside the final folder and renames, so that an interrupted run leaves nothing
    half made."""
    import export  # needs numpy, which a run that finds everything in place does not

    unfinished = out / (form + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    if form == "tiny-r1-bf16":
        export.export_bf16(MASTER, unfinished)
    else:
        export.export_nvfp4(MASTER, CALIBRATION, unfinished)
    found = shard_sums(unfinished)
    if found != sums:
        wrong = sorted(
            name for name in sums.keys() | found.keys() if sums.get(name) != found.get(name)
        )
        sys.exit(
            f"{form}: {', '.join(wrong)} differ from {SUMS_FILE}; the files are in {unfinished}"
        )
    shutil.rmtree(out / form, ignore_errors=True)
    unfinished.rename(out / form)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write the forms into")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for form, sums in wanted_sums().items():
        if shard_sums(out / form) == sums:
            print(f"{form}: in {out} already")
            continue
        make(form, sums, out)
        print(f"{form}: made in {out}, SHA-256 as expected")


if __name__ == "__main__":
    main()
