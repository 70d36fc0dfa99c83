"""Every YAML composes, every default has one home, every name in conf/ is a name in the code."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig, OmegaConf

from tests.cli.conftest import Say
from ult_lightning.base import UltError, read_options
from ult_lightning.cli.config import folders as _conf
from ult_lightning.cli.config.reader import Reader
from ult_lightning.cli.console import messages as _messages
from ult_lightning.cli.console.job import Place
from ult_lightning.cli.verbs import compare as compare_verb
from ult_lightning.cli.verbs import construct as construct_verb
from ult_lightning.cli.verbs import report as report_verb
from ult_lightning.cli.verbs import search as search_verb
from ult_lightning.cli.verbs import transfer as transfer_verb
from ult_lightning.construct import FAMILIES

CONF = Path(__file__).resolve().parents[2] / "conf"
VERBS = ("search", "construct", "transfer", "compare", "report")
READERS = {
    "search": search_verb.read,
    "construct": construct_verb.read,
    "transfer": transfer_verb.read,
    "compare": compare_verb.read,
}
NEEDED = {
    "search": ["sources=[digits]"],
    "construct": [],
    "transfer": ["ticket=my.ticket", "targets=[digits]"],
    "compare": ["sources=[digits]", "targets=[mnist5k]"],
    "report": [],
}


def composed(verb: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(verb, overrides=[*NEEDED[verb], *overrides])


def group_files() -> list[Path]:
    return sorted(path for path in CONF.rglob("*.yaml") if path.parent != CONF)


def verbs_of_experiment(path: Path) -> list[str]:
    """The verbs whose command stands in an experiment's opening comment."""
    return [verb for verb in VERBS if f"ult {verb} experiment={path.stem}" in path.read_text()]


def test_every_yaml_composes() -> None:
    tried = dict.fromkeys(CONF.rglob("*.yaml"), 0)
    for verb in VERBS:
        assert composed(verb)
        tried[CONF / f"{verb}.yaml"] += 1
    for path in group_files():
        group = path.relative_to(CONF).parent.as_posix()
        if path.relative_to(CONF).parts[0] in ("common", "hydra"):  # no choice of the user's: in every verb
            tried[path] += 1
            continue
        experiment_verbs = verbs_of_experiment(path) if group == "experiment" else []
        for verb in experiment_verbs or VERBS:
            more = ["net.name=mobilenet_v2"] if path.stem == "torchvision" else []
            if verb not in experiment_verbs and group not in composed(verb):
                with pytest.raises(ConfigCompositionException, match="Could not override"):
                    composed(verb, f"{group}={path.stem}", *more)
                continue
            assert composed(verb, f"{group}={path.stem}", *more)
            tried[path] += 1
    assert len(tried) > 30
    assert [path for path, count in tried.items() if count == 0] == []


@pytest.mark.parametrize("path", sorted((CONF / "experiment").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_experiment_can_be_read(path: Path) -> None:
    verbs = verbs_of_experiment(path)
    assert verbs, f"{path.name} does not open with its command"
    for verb in verbs:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            assert READERS[verb](compose(verb, overrides=[f"experiment={path.stem}"]))


@pytest.mark.parametrize("verb", VERBS)
def test_an_experiment_wins_over_the_root(verb: str, tmp_path: Path) -> None:
    folder = tmp_path / "experiment"
    folder.mkdir()
    key = {"search": "seed", "construct": "seed", "transfer": "seed", "compare": "out", "report": "out"}[verb]
    (folder / "mine.yaml").write_text(f"# @package _global_\n{key}: 77\n")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        found = compose(verb, overrides=[*NEEDED[verb], f"hydra.searchpath=[file://{tmp_path}]", "experiment=mine"])
    assert found[key] == 77


def test_search_defaults_are_those_of_the_code() -> None:
    from ult_lightning.search import SearchSettings, resolve_precision
    from ult_lightning.tickets import InputSpec, MotherSpec

    told = search_verb.read(composed("search"))
    expected = dataclasses.replace(
        SearchSettings(), trainer={"precision": resolve_precision("auto", told.machine.device)}
    )
    assert told.search == expected
    assert told.spec == dataclasses.replace(
        MotherSpec("conv4"), options={"width": 1.0, "trunk": "pool"}, input=InputSpec()
    )
    assert told.seed == 0
    assert told.out is None


def test_dense_defaults_are_those_of_the_code() -> None:
    from ult_lightning.compare import DenseSettings

    assert compare_verb.read(composed("compare")).grid.dense == DenseSettings()


OF_CONSTRUCTIONS = {("nets", "gain")}  # the maker of a ticket chooses it, no user
NEEDED_OPTIONS: dict[tuple[str, str], dict[str, Any]] = {
    ("nets", "stack"): {"layers": ["relu"]},
    ("nets", "torchvision"): {"name": "mobilenet_v2"},
    ("construct", "network"): {"target": "a file"},
    ("construct", "univariate"): {"function": "exp"},
}


def written_options(group: str, name: str, entries: Collection[str]) -> dict[str, Any]:
    """The options of a member as its YAML has them; a family of nets has a name beside them."""
    if group == "construct.yaml":
        return {key: composed("construct")[key] for key in entries}
    if group == "compare.yaml":
        node: Any = composed("compare").arm.get(name, {})
    else:
        loaded = OmegaConf.load(CONF / group / f"{name}.yaml")
        node = {**loaded.options, **NEEDED_OPTIONS["nets", name]} if "family" in loaded else loaded.options
    return OmegaConf.to_container(OmegaConf.create(node))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("room", "registry", "group"),
    [
        ("search", "METHODS", "method"),
        ("search", "OBJECTIVES", "objective"),
        ("heads", "HEADS", "head"),
        ("heads", "FUNCTION_HEADS", "head"),
        ("nets", "NETS", "net"),
        ("compare", "ARMS", "compare.yaml"),
        ("construct", "FAMILIES", "construct.yaml"),
    ],
)
def test_options_in_yaml_are_the_defaults_of_their_dataclass(room: str, registry: str, group: str) -> None:
    """Every option is written out with its default; null stands for a default that needs words, or for none."""
    members, checked = getattr(import_module(f"ult_lightning.{room}"), registry), 0
    assert len(members) > 0
    for name in members:
        member = members.get(name)
        kind = getattr(member, "options", None) or member.OPTIONS
        entries = {e.name: e for e in dataclasses.fields(kind) if (room, e.name) not in OF_CONSTRUCTIONS}
        written = written_options(group, name, entries)
        assert set(written) == set(entries), name
        for key, value in written.items():
            if value is not None:
                read = getattr(read_options(kind, {**NEEDED_OPTIONS.get((room, name), {}), key: value}), key)
                assert read == entries[key].default or entries[key].default is dataclasses.MISSING, (name, key)
            checked += 1
    assert checked > 0


def test_net_options_are_accepted_by_the_nets() -> None:
    from ult_lightning.nets import build_mother

    for name in _conf.options_of("net"):
        more = ["net.name=mobilenet_v2"] if name == "torchvision" else []
        small = ["net.options.width=0.125"] if "width" in composed("search", f"net={name}", *more).net.options else []
        told = search_verb.read(composed("search", f"net={name}", "norm=none", *more, *small))
        assert build_mother(told.spec).dim() > 0


@pytest.mark.parametrize(
    ("group", "room", "registry"),
    [
        ("net", "nets", "NETS"),
        ("init", "nets", "INITS"),
        ("method", "search", "METHODS"),
        ("head", "heads", "HEADS FUNCTION_HEADS"),
        ("logger", "tracking", "LOGGERS"),
    ],
)
def test_each_group_offers_what_is_registered(group: str, room: str, registry: str) -> None:
    home = import_module(f"ult_lightning.{room}")
    names = {name for one in registry.split() for name in getattr(home, one).names()}
    assert names
    assert set(_conf.options_of(group)) == names


def test_the_default_arms_are_all_arms() -> None:
    from ult_lightning.compare import ARMS

    assert set(composed("compare").arms) == set(ARMS.names())


@pytest.mark.parametrize("verb", VERBS)
def test_cfg_job_prints_what_runs(say: Say, verb: str) -> None:
    answer = say(verb, *NEEDED[verb], "--cfg", "job")
    assert answer.code == 0
    assert OmegaConf.create(answer.out) == composed(verb)
    assert not list(Path().iterdir())


def test_flags_may_stand_anywhere(say: Say) -> None:
    first = say("search", "--cfg", "job", "sources=[digits]", "seed=4")
    for words in (("sources=[digits]", "--cfg", "job", "seed=4"), ("sources=[digits]", "seed=4", "--cfg=job")):
        assert say("search", *words).out == first.out


def test_keys_that_take_a_list_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    read: set[str] = set()
    more = {"construct": ["family=polynomial"], "transfer": [f"ticket={__file__}"]}
    items = Reader.items
    monkeypatch.setattr(Reader, "items", lambda self, key: read.add(key) or items(self, key))
    for verb in READERS:
        READERS[verb](composed(verb, *more.get(verb, [])))
    with pytest.raises(UltError, match="no rows"):
        report_verb.run(composed("report"), Place(Path(), None, 0, ()))
    kinds = [FAMILIES.get(name).options for name in FAMILIES]
    read |= {entry.name for kind in kinds for entry in dataclasses.fields(kind) if "tuple[" in str(entry.type)}
    assert read == _messages.LIST_KEYS


def test_each_experiment_of_ours_is_for_a_verb() -> None:
    names = _conf.options_of("experiment")
    assert len(names) > 5
    for name in names:
        assert _conf.verbs_of(name) == set(verbs_of_experiment(CONF / "experiment" / f"{name}.yaml"))
    assert _conf.verbs_of("absent") == set()


def test_how_values_refer_to_others() -> None:
    assert {"net", "experiment", "trainer"} <= set(_conf.groups())
    assert "common" not in _conf.groups()
    assert [_conf.reference(key) for key in ("seed", "net", "trainer", "trainer.max_steps")] == [
        "${seed}",
        "${net.name}",
        "${hydra:runtime.choices.trainer}",
        "${trainer.max_steps}",
    ]


def test_every_key_is_documented_in_its_yaml() -> None:
    """Each key of the root files and of common/ has a comment behind it or, as a mapping, inside it."""
    files = [*CONF.glob("*.yaml"), *(CONF / "common").glob("*.yaml")]
    assert len(files) == 7
    for file in files:
        body = file.read_text().split("experiment: null\n")[-1]
        for line in body.splitlines():
            if line and line[0].isalpha() and not line.rstrip().endswith(":"):
                assert "#" in line or line.startswith("baseline"), f"{file.name}: {line}"


def test_known_keys_of_a_verb() -> None:
    keys = _messages.known_keys("transfer", ["head=sgd"])
    assert {"head.options.epochs", "targets", "logger.kind"} <= set(keys)


def test_conf_is_found_in_the_package_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site" / "ult_lightning"
    for folder in (package / "conf", package.parent / "conf"):
        folder.mkdir(parents=True)
        (folder / "search.yaml").write_text("")
    monkeypatch.setattr(_conf, "__file__", str(package / "cli" / "config" / "folders.py"))
    assert _conf.conf_folder() == package / "conf"
    (package / "conf" / "search.yaml").unlink()
    assert _conf.conf_folder() == package.parent / "conf"
    (package.parent / "conf" / "search.yaml").unlink()
    with pytest.raises(Exception, match="conf: no folder"):
        _conf.conf_folder()
