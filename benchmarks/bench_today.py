"""`aind-launch today` where the library is on a share: 60 animals and 12 rigs, each file operation takes 20 ms.

The operations really take that long: a library that is preloaded (Linux alone) sleeps in each of them.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from datetime import timedelta
from pathlib import Path

from timing import command, compare

from aind_launcher.builtin.local_store.library import Library
from aind_launcher.model.animal import TrainerStateText
from aind_launcher.model.clock import now
from aind_launcher.model.register import RigStatus
from aind_launcher.model.session import Repository, Session, SessionContext
from aind_launcher.model.suggestion import CurriculumSuggestion

ANIMALS, RIGS, SESSIONS = 60, 12, 5
SECONDS = "0.02"
ROOT = Path(__file__).parent.parent
# A real one, so that reading it takes as long as that takes.
ANSWER = (ROOT / "tests/data/suggestions/vr-foraging-1.3.2-dsl-0.0.42.json").read_text(encoding="utf-8")


def fill(library: Library) -> None:
    """Enrol the animals and let each have some sessions; let each rig report of itself."""
    state = TrainerStateText(text=json.dumps(json.loads(ANSWER)["trainer_state"]))
    answer = CurriculumSuggestion(text=ANSWER, trainer_state=state)
    for number in range(ANIMALS):
        subject, rig = str(780000 + number), f"box-{number % RIGS}"
        library.enroll(subject, state, by="me")
        for day in range(SESSIONS, 0, -1):
            session = Session(subject=subject, date=now() - timedelta(days=day - 1))
            folder = library.root / session.session_name
            home = Repository(path=library.root)
            standing = library.read(subject).state
            context = SessionContext(
                session=session, folder=folder, staging=folder, repository=home, rig_name=rig, animal_state=standing
            )
            ticket = library.begin(context, standing, ())
            library.record(subject, answer, context.name, session.date, standing, ticket)
            library.finish(context.model_copy(update={"ticket": ticket}), "completed")
    for number in range(RIGS):
        library.report(RigStatus(rig=f"box-{number}", machine="a-machine", written=now()))


if sys.platform != "linux":
    raise SystemExit("Elsewhere than on Linux nothing can be preloaded.")

with tempfile.TemporaryDirectory() as temporary:
    task, share = Path(temporary, "task"), Path(temporary, "share")
    task.mkdir()
    settings = f'[tool.aind-launcher]\nstate-directory = "state"\nplugin.local-store.library = "{share}/library"\n'
    (task / "pyproject.toml").write_text(settings, encoding="utf-8")
    subprocess.run(["git", "init", "--quiet", task], check=True)
    fill(Library(share / "library", "default"))

    preload = Path(temporary, "slow_share.so")
    source = Path(__file__).with_name("slow_share.c")
    cc = shutil.which("cc") or "cc"
    subprocess.run([cc, "-shared", "-fPIC", "-O2", "-o", preload, source, "-ldl"], check=True)
    quick = {name: value for name, value in os.environ.items() if not name.startswith("AIND_LAUNCHER_")}
    slow = quick | {"LD_PRELOAD": str(preload), "SLOW_BELOW": str(share), "SLOW_SECONDS": SECONDS}
    launch = Path(sysconfig.get_path("scripts")) / "aind-launch"
    compare(
        f"{ANIMALS} animals, {RIGS} rigs, {SECONDS} s for each operation",
        [
            ("today on a share", command(launch, "today", cwd=task, env=slow)),
            ("today on this disk", command(launch, "today", cwd=task, env=quick)),
            ("animals list on a share", command(launch, "animals", "list", cwd=task, env=slow)),
        ],
        runs=3,
        aim="under 2 s for the first",
    )
