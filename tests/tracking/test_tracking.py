"""Loggers that start offline, hold what they should, and never raise."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ult_lightning.base import UltError
from ult_lightning.results import Row
from ult_lightning.tracking import LOGGERS, finish, log_rows, log_ticket, make_logger, use_ticket
from ult_lightning.tracking._wandb import RUN_ID_FILE, has_key, is_offline

wandb = pytest.importorskip("wandb")

TICKET: Any = SimpleNamespace(
    id="0123456789abcdef", density=0.5, fingerprint="f" * 64, provenance={"sources": ["mnist5k:0-4"]}
)
FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials, no home folder of anybody."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("NETRC", str(home / ".netrc"))
    for name in ("DATA", "CACHE", "CONFIG", "ARTIFACT"):
        monkeypatch.setenv(f"WANDB_{name}_DIR", str(home))


@pytest.fixture
def warned(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """The warnings of this room so far; each is one line."""
    with caplog.at_level(logging.WARNING, logger="ult_lightning.tracking"):
        yield lambda: [record.getMessage() for record in caplog.records if record.name == "ult_lightning.tracking"]
    assert all("\n" not in record.getMessage() for record in caplog.records)


@pytest.fixture
def row() -> Row:
    return Row(
        id="row1", task="digits", arm="universal", seed=3, metric="accuracy", value=0.875, n=360, n_train=100,
        n_valid=20, unit="fraction", settings={"density": 0.5}, seconds={"total": 2.0},
        trained="head", parameters_trained=20_490, code_version="0.1.0", versions={}, device="cpu",
        precision="32", ticket=TICKET.id, extra={"shots": 10, "draw": 1},
    )  # fmt: skip


class Run:
    """A wandb run whose named methods raise."""

    def __init__(self, **failures: Exception) -> None:
        self.failures = failures
        self.calls: list[str] = []
        self.id, self.url, self.dir = "abc", "https://wandb.example/abc", "/runs/abc/files"
        self.config, self.summary = self, self

    def __getattr__(self, name: str) -> Callable[..., None]:
        def call(*_args: Any, **_kwargs: Any) -> None:
            self.calls.append(name)
            if name in self.failures:
                raise self.failures[name]

        return call

    def __setitem__(self, name: str, value: object) -> None:
        self.calls.append(name)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., tuple[Any, Run]]:
    """A logger around a `Run`, online where asked."""

    def start(*, online: bool = False, **failures: Exception) -> tuple[Any, Run]:
        run = Run(**failures)
        monkeypatch.setattr(wandb, "init", lambda **_wanted: run)
        if online:
            monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
        logger = make_logger("wandb", run_dir=tmp_path / "run", offline=not online)
        assert logger is not None
        run.calls.clear()
        return logger, run

    return start


def test_names() -> None:
    assert LOGGERS.names() == ("wandb", "csv", "none")


def test_unknown_logger(tmp_path: Path) -> None:
    with pytest.raises(UltError, match=r"^logger: got 'wandbb', wanted one of csv, none, wandb; did you mean wandb"):
        make_logger("wandbb", run_dir=tmp_path)


def test_none(tmp_path: Path, row: Row) -> None:
    logger = make_logger("none", run_dir=tmp_path)
    assert logger is None
    log_ticket(logger, TICKET, tmp_path / "absent.ticket")
    use_ticket(logger, TICKET)
    log_rows(logger, [row])
    assert finish(logger) is None
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_csv(tmp_path: Path, row: Row) -> None:
    logger = make_logger("csv", run_dir=tmp_path / "run", config={"density": 0.5})
    assert logger is not None
    logger.log_metrics({"loss": 1.5}, step=0)
    log_ticket(logger, TICKET, tmp_path / "absent.ticket")
    log_rows(logger, [row])
    where = Path(finish(logger) or "")
    assert "digits@10/universal/accuracy" in (where / "metrics.csv").read_text()
    assert "0.875" in (where / "metrics.csv").read_text()
    assert "density: 0.5" in (where / "hparams.yaml").read_text()


def test_csv_on_a_full_disk(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    warned: Callable[[], list[str]],
    row: Row,
) -> None:
    from pytorch_lightning.loggers import CSVLogger

    logger = make_logger("csv", run_dir=tmp_path / "run")
    assert logger is not None
    monkeypatch.setattr(CSVLogger, "save", lambda self: (_ for _ in ()).throw(FULL))
    log_rows(logger, [row])
    logger.log_metrics({"loss": 1.0}, step=1)
    finish(logger)
    assert len(warned()) == 1
    assert "No space left" in warned()[0]


def test_real_offline_run(tmp_path: Path, row: Row, warned: Callable[[], list[str]]) -> None:
    """One run without a key: its files are there, with the config, the metrics and the ticket's id in them."""
    path = tmp_path / "my.ticket"
    path.write_bytes(b"ticket bytes")
    begun = time.perf_counter()
    logger: Any = make_logger(
        "wandb", run_dir=tmp_path / "run", name="a_name", group="a_group", tags=["a_tag"],
        config={"search": {"density": 0.4321}}, project="a_project",
    )  # fmt: skip
    assert time.perf_counter() - begun < 20
    assert logger.offline
    logger.log_metrics({"loss": 1.25}, step=7)
    log_ticket(logger, TICKET, path)
    use_ticket(logger, TICKET)
    log_rows(logger, [row])
    where = Path(finish(logger) or "")
    assert where.parent == tmp_path / "run" / "wandb"
    files = list(where.glob("run-*.wandb"))
    assert len(files) == 1
    wanted = ("a_name", "a_group", "a_tag", "a_project", "0.4321", "1.25", "ticket_id", TICKET.id)
    wanted = (*wanted, f"ticket-{TICKET.id}", TICKET.fingerprint, "mnist5k:0-4", "digits@10/universal/accuracy")
    missing = [text for text in wanted if text.encode() not in written(files[0], wanted[-1])]
    assert missing == []
    assert warned() == []
    assert (tmp_path / "run" / RUN_ID_FILE).read_text().strip() == files[0].stem.removeprefix("run-")


def written(path: Path, last: str) -> bytes:
    """The file once wandb's own process has written `last` into it."""
    until = time.monotonic() + 30
    while last.encode() not in path.read_bytes() and time.monotonic() < until:
        time.sleep(0.05)
    return path.read_bytes()


def test_run_folder_keeps_its_wandb_id(tmp_path: Path) -> None:
    ids = []
    for _ in range(2):
        logger: Any = make_logger("wandb", run_dir=tmp_path / "run")
        ids.append(logger.run.id)
        finish(logger)
    other: Any = make_logger("wandb", run_dir=tmp_path / "other")
    finish(other)
    assert ids[0] == ids[1] != other.run.id


def test_two_runs_of_one_process_stay_apart(tmp_path: Path) -> None:
    """A job of a sweep that did not finish its run must not lend it to the next job."""
    first: Any = make_logger("wandb", run_dir=tmp_path / "first")
    second: Any = make_logger("wandb", run_dir=tmp_path / "second")
    assert first.run.id != second.run.id
    assert finish(first) != finish(second)


def test_nothing_is_printed(tmp_path: Path) -> None:
    """A run of its own process without a key: no question, no banner, and it ends."""
    code = (
        "from ult_lightning.tracking import *\n"
        "logger = make_logger('wandb', run_dir='run')\n"
        "logger.log_metrics({'a': 1.0}, step=0)\n"
        "print(finish(logger))"
    )
    env = {name: value for name, value in os.environ.items() if name != "WANDB_MODE"}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), env.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(os.path.join("run", "wandb", "offline-run-"))
    assert done.stdout.count("\n") == 1
    assert (tmp_path / done.stdout.strip()).is_dir()
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("environment", "settings", "offline", "wanted"),
    [
        ({}, {}, None, True),
        ({}, {}, False, True),
        ({"WANDB_MODE": "online"}, {}, None, True),
        ({"WANDB_API_KEY": "k"}, {}, None, False),
        ({"WANDB_API_KEY": "k"}, {}, True, True),
        ({"WANDB_API_KEY": "k", "WANDB_MODE": "offline"}, {}, None, True),
        ({"WANDB_API_KEY": "k", "WANDB_MODE": "dryrun"}, {}, None, True),
        ({"WANDB_API_KEY": "k", "WANDB_MODE": "offline"}, {}, False, False),
        ({"WANDB_API_KEY": "k"}, {"mode": "offline"}, None, True),
        ({"WANDB_IDENTITY_TOKEN_FILE": "token"}, {}, None, False),
        ({}, {"api_key": "k"}, None, False),
    ],
)
def test_offline_or_not(
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    settings: dict[str, str],
    offline: bool | None,
    wanted: bool,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    base = {"mode": "online", "api_key": None, "identity_token_file": None, "base_url": "https://api.wandb.ai"}
    assert is_offline(SimpleNamespace(**{**base, **settings}), offline) is wanted


@pytest.mark.parametrize(("host", "wanted"), [("api.wandb.ai", True), ("wandb.mine.org", True), ("github.com", False)])
def test_key_in_netrc(tmp_path: Path, host: str, wanted: bool) -> None:
    settings = SimpleNamespace(api_key=None, base_url="https://wandb.mine.org/")
    assert not has_key(settings)
    netrc = tmp_path / "home" / ".netrc"
    netrc.write_text(f"machine {host}\n login user\n password {'0' * 40}\n")
    netrc.chmod(0o600)
    assert has_key(settings) is wanted


def test_broken_netrc_is_no_key(tmp_path: Path) -> None:
    (tmp_path / "home" / ".netrc").write_text("machine api.wandb.ai\n nonsense\n")
    assert not has_key(SimpleNamespace(api_key=None, base_url="https://api.wandb.ai"))


def test_disabled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warned: Callable[[], list[str]]) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert make_logger("wandb", run_dir=tmp_path / "run") is None
    assert warned() == []


def test_init_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warned: Callable[[], list[str]]) -> None:
    def init(**_wanted: Any) -> None:
        raise RuntimeError("the service is gone\nwith details")

    monkeypatch.setattr(wandb, "init", init)
    assert make_logger("wandb", run_dir=tmp_path / "run") is None
    assert warned() == ["wandb: could not start, the run goes on without it (RuntimeError: the service is gone)"]


def test_run_folder_on_a_full_disk(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    warned: Callable[[], list[str]],
) -> None:
    def mkdir(*_args: Any, **_kwargs: Any) -> None:
        raise FULL

    monkeypatch.setattr(Path, "mkdir", mkdir)
    assert make_logger("wandb", run_dir=tmp_path / "run") is None
    assert len(warned()) == 1


def test_wandb_that_is_missing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    warned: Callable[[], list[str]],
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert make_logger("wandb", run_dir=tmp_path / "run") is None
    assert len(warned()) == 1


def test_network_that_fails_at_the_start_keeps_the_run_offline(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    warned: Callable[[], list[str]],
) -> None:
    tried = []

    def init(**wanted: Any) -> Run:
        tried.append((wanted["settings"].mode, wanted["id"]))
        if tried[-1][0] == "online":
            raise ConnectionError("no route to host")
        return Run()

    (tmp_path / "run").mkdir()
    (tmp_path / "run" / RUN_ID_FILE).write_text("kept\n")

    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setattr(wandb, "init", init)
    logger: Any = make_logger("wandb", run_dir=tmp_path / "run")
    assert tried == [("online", "kept"), ("offline", None)]  # the service calls an id in use after a failed start
    assert (tmp_path / "run" / RUN_ID_FILE).read_text() == "kept\n"
    assert logger.offline
    assert warned() == [
        "wandb: the server could not be used, the run is kept offline (ConnectionError: no route to host)"
    ]


@pytest.mark.slow
def test_real_start_without_network_keeps_the_run_offline(tmp_path: Path) -> None:
    """wandb itself, against a server that is not there, in a folder that has a wandb id already."""
    code = (
        "from ult_lightning.tracking import *\n"
        "for _ in range(2):\n"
        "    logger = make_logger('wandb', run_dir='run')\n"
        "    logger.log_metrics({'a': 1.0}, step=0)\n"
        "    print(logger.offline, finish(logger))"
    )
    env = {**os.environ, "WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": "http://127.0.0.1:9"}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), env.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["True", "True"]
    assert done.stderr.count("could not be used, the run is kept offline") == 2
    assert done.stderr.count("\n") == 2


def test_start_settings_are_known_to_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    monkeypatch.setattr(wandb, "init", lambda **wanted: seen.update(wanted) or Run())
    make_logger("wandb", run_dir=tmp_path / "run", name="n", group="g", tags=["t"], config={"a": 1})
    assert (seen["name"], seen["group"], seen["tags"], seen["config"]) == ("n", "g", ["t"], {"a": 1})
    settings = seen["settings"]
    assert settings.mode == "offline"
    assert settings.init_timeout <= 15
    assert settings.console == "off"
    assert settings.disable_git
    assert settings.x_disable_stats


@pytest.mark.parametrize("error", [FULL, ConnectionError("lost"), RuntimeError(""), wandb.Error("gone")])
def test_log_that_fails_is_told_once(
    started: Callable[..., tuple[Any, Run]],
    warned: Callable[[], list[str]],
    error: Exception,
) -> None:
    logger, run = started(log=error)
    for step in range(3):
        logger.log_metrics({"loss": 1.0}, step=step)
    logger.log_hyperparams({"a": 1})
    logger.experiment.log({"own": 1})  # code that reaches for the run itself finds something that takes it
    logger.finalize("success")
    assert run.calls == ["log"]
    assert len(warned()) == 1
    assert "results are not touched" in warned()[0]
    assert finish(logger) == "/runs/abc"
    assert run.calls == ["log", "finish"]


def test_a_training_survives_a_logger_that_fails(
    started: Callable[..., tuple[Any, Run]],
    warned: Callable[[], list[str]],
    tmp_path: Path,
) -> None:
    import torch
    from pytorch_lightning import LightningModule, Trainer

    class Tiny(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(1, 1)
            self.save_hyperparameters({"a": 1})

        def training_step(self, batch: torch.Tensor, _index: int) -> torch.Tensor:
            loss: torch.Tensor = self.layer(batch).sum()
            self.log("loss", loss)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    logger, _ = started(log=FULL)
    trainer = Trainer(
        max_epochs=2, logger=logger, accelerator="cpu", enable_progress_bar=False, enable_model_summary=False,
        log_every_n_steps=1, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(Tiny(), torch.utils.data.DataLoader(torch.ones(4, 1)))
    assert trainer.global_step == 8
    assert len(warned()) == 1


@pytest.mark.parametrize("failing", ["log_artifact", "update", "use_artifact", "log"])
def test_artifacts_and_rows_that_fail_leave_the_metrics_on(
    started: Callable[..., tuple[Any, Run]],
    warned: Callable[[], list[str]],
    tmp_path: Path,
    row: Row,
    failing: str,
) -> None:
    path = tmp_path / "my.ticket"
    path.write_bytes(b"bits")
    logger, run = started(online=True, **{failing: ConnectionError("lost")})
    log_ticket(logger, TICKET, path)
    use_ticket(logger, TICKET)
    log_rows(logger, [row])
    assert failing in run.calls
    assert warned()
    assert not logger.failed
    assert finish(logger) == run.url


def test_ticket_file_that_is_gone(
    started: Callable[..., tuple[Any, Run]],
    warned: Callable[[], list[str]],
    tmp_path: Path,
) -> None:
    logger, run = started()
    log_ticket(logger, TICKET, tmp_path / "absent.ticket")
    assert "log_artifact" not in run.calls
    assert len(warned()) == 1


def test_use_is_declared_online_only(started: Callable[..., tuple[Any, Run]]) -> None:
    logger, run = started(online=False)
    use_ticket(logger, TICKET)
    assert "use_artifact" not in run.calls
    assert "ticket_id" in run.calls
    logger, run = started(online=True)
    use_ticket(logger, TICKET)
    assert "use_artifact" in run.calls


def test_finish_that_fails_still_says_where(
    started: Callable[..., tuple[Any, Run]],
    warned: Callable[[], list[str]],
) -> None:
    logger, _ = started(finish=TimeoutError("upload"))
    assert finish(logger) == "/runs/abc"
    assert len(warned()) == 1


def test_artifact_metadata(
    started: Callable[..., tuple[Any, Run]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "my.ticket"
    path.write_bytes(b"bits")
    logger, run = started()
    logged: list[Any] = []
    run.log_artifact = logged.append  # type: ignore[method-assign, assignment]
    log_ticket(logger, TICKET, path)
    artifact = logged[0]
    assert (artifact.name.split(":")[0], artifact.type) == (f"ticket-{TICKET.id}", "ticket")
    assert artifact.metadata == {"density": 0.5, "fingerprint": "f" * 64, "sources": ["mnist5k:0-4"]}
    assert "my.ticket" in artifact.manifest.entries


KILLED_SERVICE = """
import os, signal, time
from pathlib import Path
from ult_lightning.tracking import finish, make_logger
logger = make_logger("wandb", run_dir=Path("."), name="x", group=None, tags=(), config={}, offline=True, project="p")
for entry in Path("/proc").iterdir():
    try:
        parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        if parent == os.getpid() and b"wandb" in (entry / "cmdline").read_bytes():
            os.kill(int(entry.name), signal.SIGKILL)
            print("killed")
    except (OSError, ValueError, IndexError):
        pass
time.sleep(0.5)
logger.log_metrics({"a": 2.0}, 1)
finish(logger)
print("the end")
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for wandb's service in /proc")
def test_a_service_that_dies_ends_in_no_traceback(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED_SERVICE], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["killed", "the end"]
    assert "could not log metrics" in done.stderr
    assert "Traceback" not in done.stderr
