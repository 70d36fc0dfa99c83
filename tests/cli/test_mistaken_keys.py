"""What a wrong key or value gets: one sentence, exit code 2, no traceback, nothing half written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.cli.conftest import TINY, Say

COMPOSING = [
    (["search", "densty=0.5"], "key: got 'densty', wanted a key of `ult search`; did you mean density or densities?"),
    (["search", "net.optoins.width=1"], "did you mean net.options.width"),
    (["search", "net=lenet_300_100", "net.options.trunk=fc"], "key: got 'net.options.trunk'"),
    (["transfer", "head=sgd", "head.options.epoch=3"], "did you mean head.options.epochs"),
    (["search", "net=cnov4"], "net: got 'cnov4', wanted one of conv, conv2"),
    (["search", "net=mobilnet_v2"], "mobilenet_v2"),
    (["search", "method=edge_pop"], "did you mean edge_popup"),
    (["search", "init=kaiming_norm"], "did you mean kaiming_normal"),
    (["transfer", "head=rige"], "did you mean ridge"),
    (["search", "experiment=smok"], "did you mean smoke"),
    (["search", "logger=wandd"], "did you mean wandb"),
    (["search", "sources=[digits"], "override: got 'sources=[digits', wanted key=value"),
    (["search", "density"], "override: got 'density', wanted key=value"),
    (["search", "sources=a,b"], "sources: got 'a,b', wanted one value, or a list as in 'sources=[a,b]'"),
    (["search", "seed=0,1"], "seed: got '0,1', wanted one value; -m sweeps over the values."),
    (["search", "density=0,5"], "density: got '0,5', wanted one value; -m sweeps over the values."),
    (["search", "net=conv2,conv4"], "net: got 'conv2,conv4', wanted one value; -m sweeps over the values."),
    (["transfer", "ticket=a,b"], "and 'ticket=\"a,b\"' is one value with a comma in it."),
    (["search", "out=a b,c.ticket"], "and 'out=\"a b,c.ticket\"' is one value with a comma in it."),
    (["search", "out=a (1).ticket"], "twice: 'out=\"a (1).ticket\"'"),
    (["transfer", "head.options.lambdas=1,2"], "or a list as in 'head.options.lambdas=[1,2]'; -m sweeps"),
    (["search", "net=null"], "net: got 'null', wanted one of conv, conv2"),
    (["search", "trainer=5"], "trainer: got '5', wanted one of cpu, ddp, debug, default, gpu, smoke."),
    (["compare", "dense=null"], "dense: got 'null', wanted one of default."),
    (["transfer", "head=null"], "head: got 'null', wanted one of logistic, lstsq, ridge, sgd."),
    (
        ["search", "experiment=quickstart"],
        "experiment: got 'quickstart', which is for `ult compare`; `ult search` has smoke.",
    ),
    (["construct", "experiment=quickstart"], "which is for `ult compare`; `ult construct` has constructed_on_images,"),
    (["transfer", "experiment=smoke"], "which is for `ult search`; `ult transfer` has none."),
    (["compare", "-m", "experiment=quickstart,theory_kept"], "got 'theory_kept', which is for `ult construct`;"),
    (["search", "hydra/launcher=submitit_nowhere"], "type pip install 'ult_lightning[slurm]'."),
    (["search", "--cfg", "nope"], "--cfg: got 'nope', wanted one of all, hydra, job."),
    (["search", "-c", "jbo"], "--cfg: got 'jbo', wanted one of all, hydra, job; did you mean job?"),
    (["search", "--cfg=nope"], "--cfg: got 'nope'"),
    (["search", "--info", "nope"], "--info: got 'nope', wanted one of all, config, defaults"),
    (["search", "+density=0.5"], "wanted density=... without the plus"),
    (["search", "+net=conv2"], "wanted net=... without the plus"),
    (["search", "--config-name", "nope"], "config-name: got 'nope'"),
    (["search", "--config-dir", "/nope"], "'/nope' not found"),
    (["search", "--multrun"], "did you mean --multirun"),
    (["search", "--cfg"], "flag: got '--cfg', wanted a value after it"),
    (["search", "-m", "--cfg", "job"], "Only one of --run, --multirun, --cfg"),
    (["search", "--resolve"], "--resolve flag"),
    (["search", "hydra.job.chdir=abc"], "hydra.job.chdir: Value 'abc' is not a valid bool"),
]
CONSTRUCTING = [
    (["degre=2"], "key: got 'degre', wanted a key of `ult construct`; did you mean degree?"),
    (["family=polynomial", "init=unifrom"], "did you mean uniform?"),
    (["experiment=theory_kep"], "experiment: got 'theory_kep'"),
]
COMPOSING += [(["construct", "logger=none", *words], said) for words, said in CONSTRUCTING]
CONSTRUCTIONS = [
    ([], "family: got None, wanted one of fourier, polynomial, univariate, network; or a study"),
    (["family=polynomail"], "family: got 'polynomail', wanted one of fourier, network, polynomial, univariate; did you"),
    (["family=polynomial", "degree=0"], "degree: got 0, wanted a whole number at least 1."),
    (["family=polynomial", "inputs=-2"], "inputs: got -2, wanted a whole number at least 1."),
    (["family=polynomial", "inputs=2.5"], "inputs: got 2.5, wanted a whole number"),
    (["family=polynomial", "inputs=30", "degree=9"], "degree: got 9, wanted at most 20,000 monomials"),
    (["family=polynomial", "inputs=30", "degree=9", "linear=50"], "degree: got 9, wanted at most 20,000 monomials"),
    (["family=polynomial", "eps=0"], "eps: got 0, wanted a number at least 1e-06 and below 0.5."),
    (["family=polynomial", "eps=-1e-3"], "eps: got -0.001, wanted a number at least 1e-06"),
    (["family=polynomial", "eps=0.7"], "eps: got 0.7, wanted a number at least 1e-06 and below 0.5."),
    (["family=polynomial", "eps=small"], "eps: got 'small', wanted a number"),
    (["family=polynomial", "seed=-1"], "seed: got -1, wanted a whole number of at least 0"),
    (["family=polynomial", "style=tow"], "style: got 'tow', wanted one of direct, two; did you mean two?"),
    (["family=polynomial", "style=tow", "linear=50"], "style: got 'tow', wanted one of direct, two; did you mean two?"),
    (["family=polynomial", "log=[20,-3,20]"], "log: got -3, wanted a whole number at least 1."),
    (["family=polynomial", "exp=20"], "exp: got 20, wanted a list of whole numbers."),
    (["family=polynomial", "linear=0"], "linear: got 0, wanted a whole number at least 1."),
    (["family=polynomial", "tolerance=0"], "tolerance: got 0, wanted a number above 0."),
    (["family=polynomial", "pieces=3"], "pieces: got 3, wanted a list of whole numbers."),
    (["family=polynomial", "pieces=[3]"], "pieces: got [3], wanted two numbers, [log,exp]"),
    (["family=polynomial", "log=[20]"], "log: got [20], wanted two or three widths, as in log=[200,12,200]; three for"),
    (["family=polynomial", "pool=3", "crop=2"], "pool: got 3, wanted a whole number from 1 to 2, the side of the images"),
    (["family=polynomial", "crop=9"], "crop: got 9, wanted a pool beside it; say pool=7 crop=28"),
    (["family=network", "target=absent", "block=1"], "block: got 1, wanted a whole number at least 2 and at most 200."),
    (["family=polynomial", "pieces=[3,0]"], "pieces: got 0, wanted a whole number at least 1."),
    (["family=univariate", "function=sin", "pieces=[3,4]"], "pieces: got [3, 4], wanted a whole number at least 1."),
    (["family=polynomial", "exponents=[]"], "exponents: got [], wanted a list of at least one of entries."),
    (["family=polynomial", "exponents=many"], "exponents: got 'many', wanted a list of entries."),
    (["family=polynomial", "exponents=[[1,0],[1]]"], "exponents: got [1], wanted rows of 2 whole numbers >= 0, none"),
    (["family=polynomial", "exponents=[[0,0]]"], "exponents: got [0, 0], wanted rows of 2 whole numbers >= 0, none"),
    (["family=polynomial", "exponents=[[1.5,0]]"], "exponents: got 1.5, wanted a whole number at least 0."),
    (["family=polynomial", "exponents=[[1,0]]", "inputs=3"], "exponents: got [1, 0], wanted rows of 3 whole numbers"),
    (["family=polynomial", "exponents=[[1,0]]", "degree=2"], "degree: got 2, wanted no degree beside exponents"),
    (["family=polynomial", "bound=2"], "bound: got 2, wanted null, since family=polynomial takes eps, init, style,"),
    (["family=network", "degree=2"], "degree: got 2, wanted null, since family=network takes target, mode, block"),
    (["family=polynomial", "pool=99"], "pool: got 99, wanted a whole number at least 1 and at most 32."),
    (["family=polynomial", "pool=3", "inputs=4"], "inputs: got 4, wanted null or 9, since pool=3"),
    (["family=fourier", "bound=0"], "bound: got 0, wanted a whole number at least 1."),
    (["family=fourier", "fold=maybe"], "fold: got 'maybe', wanted true or false."),
    (["family=fourier", "inputs=30", "bound=9", "linear=50"], "bound: got 9, wanted at most 20,000 features"),
    (["family=univariate"], "function: got None, wanted a name; for example function=sin"),
    (["family=univariate", "function=sine"], "function: got 'sine', wanted one of cos, exp, log"),
    (["family=univariate", "function=square", "chain=[30,3,30]", "eps=1e-4"],
     "the best bound that the mother of chain=[30,3,30] and seed 0 holds"),
    (["family=network"], "target: got None, wanted a file; write it with ult_lightning.construct.save_target"),
    (["family=network", "target=absent"], "target: got 'absent', wanted a file that exists"),
    (["family=network", "target=absent", "mode=3L"], "mode: got '3L', wanted one of 2L, L+1."),
    (["family=network", "target=absent", "calibration=absent.npy"], "calibration: got 'absent.npy', wanted a .npy file"),
    (["family=polynomial", "options.fast=true"], "options: got {'fast': True}, wanted none"),
    (["family=polynomial", "study=kept"], "family: got 'polynomial', wanted null, since study=kept is there too"),
    (["study=blok_size"], "study: got 'blok_size'"),
    (["study=block_size", "degree=2"], "degree: got 2, wanted no value, since a study has its own"),
    (["study=block_size", "seed=3"], "seed: got 3, wanted no value, since a study has its own"),
    (["study=block_size", "+options.sedes=[1]"], "option of the study block_size: got 'sedes'"),
]  # fmt: skip
READING = [
    *((["construct", "logger=none", *words], said) for words, said in CONSTRUCTIONS),
    (["search"], "sources: got None, wanted a value; for example 'sources=[mnist5k]'"),
    (["transfer", "targets=[digits]"], "ticket: got None, wanted a value; for example ticket=my.ticket"),
    (["transfer", f"ticket={__file__}"], "targets: got None"),
    (["compare", "sources=[digits]"], "targets: got None"),
    (["search", "sources=[]"], "sources: got [], wanted at least one task"),
    (["search", *TINY, "sources=[mnist5kk]"], "did you mean mnist5k"),
    (["search", *TINY, "sources=[digits:partiy]"], "did you mean parity"),
    (["search", *TINY, "sources=[{name:digits,trainlimit:3}]"], "did you mean train_limit"),
    (["search", *TINY, "sources=[folder]"], "write folder:/path/to/folder"),
    (["search", *TINY, "density=abc"], "density: got 'abc', wanted a number"),
    (["search", *TINY, "density=0"], "density: got 0.0, wanted a number above 0, at most 1"),
    (["search", *TINY, "density=1.5"], "density: got 1.5, wanted a number above 0, at most 1"),
    (["search", *TINY, "density=nan"], "density: got nan, wanted a number"),
    (["search", *TINY, "density=null"], "density: got None, wanted a number"),
    (["search", *TINY, "density=true"], "density: got True, wanted a number"),
    (["search", *TINY, "density=1e-9"], "keeps none of the"),
    (["search", *TINY, "densities={nolayer:0.1}"], "densities: got 'nolayer'"),
    (["search", *TINY, "seed=1.5"], "seed: got 1.5, wanted a whole number"),
    (["search", *TINY, "seed=-1"], "seed: got -1"),
    (["search", *TINY, "mixing=jiont"], "did you mean joint"),
    (["search", *TINY, "trainer.precision=17"], "trainer.precision: got '17', wanted one of 16, 16-mixed, 32, 32-true, auto, bf16"),
    (["search", *TINY, "data.batch_size=0"], "batch_size: got 0"),
    (["search", *TINY, "norm=bacth"], "norm: got 'bacth', wanted one of batch, layer, none"),
    (["search", *TINY, "input.adapter=pool99"], "input.adapter: got 'pool99'"),
    (["search", *TINY, "bias=zeros"], "bias: got 'zeros', wanted bias=none with norm=batch"),
    (["search", *TINY, "loss_weights=[1,2]"], "loss_weights: got [1.0, 2.0], wanted one weight for each"),
    (["search", *TINY, "augment=maybe"], "augment: got 'maybe', wanted one of crop_flip, false, none, shift, true"),
    (["search", *TINY, "device=tpu"], "device: got 'tpu'"),
    (["search", *TINY, "threads=0"], "threads: got 0"),
    (["search", *TINY, "threads=1e9"], "threads: got 1000000000, wanted a whole number from 1 to 1024, or null"),
    (["search", *TINY, "sources=[digits,digits]"], "sources: got ['digits', 'digits'], wanted each value once."),
    (["search", *TINY, "trainer.max_epochs=3"],
     "trainer.max_epochs: got 3, wanted no value beside trainer.max_steps=4, which counts instead; "
     "add trainer.max_steps=null."),
    (["compare", "experiment=quickstart", "trainer.max_epochs=3"], "no value beside trainer.max_steps=200, which"),
    (["search", *TINY, "method.options=adam"],
     "method.options: got 'adam', wanted keys with values"),
    (["search", *TINY, "input=5"], "input: got 5, wanted keys with values; say input.range=VALUE."),
    (["search", *TINY, "input=null"], "input: got None, wanted keys with values; say input.range=VALUE."),
    (["search", *TINY, "out=${foo}.ticket"], "out: got '${foo}', wanted a reference to a key that exists"),
    (["search", *TINY, "out=${nope:1}"], "out: Unsupported interpolation type nope"),
    (["search", *TINY, "++densty=0.3"], "key: got 'densty', wanted a key of `ult search`; did you mean density or densities?"),
    (["search", *TINY, "++method.optimiser=adam"], "method.optimiser"),
    (["search", *TINY, "net.options=5"], "net.options: got 5, wanted keys with values"),
    (["search", *TINY, "++net.options.depth=5"], "option of net.options: got 'depth', wanted one of trunk, width"),
    (["search", *TINY, "~seed"], "seed: got None, wanted a value; for example seed=VALUE."),
    (["search", *TINY, "sources=[usps]"], "download=true"),
    (["search", *TINY, "sources=[parquet:/nowhere]"], "/nowhere"),
    (["search", *TINY, "sources=[digits:3]"], "digits:3"),
    (["search", *TINY, "train_limit=3"], "train_limit"),
    (["search", "net=torchvision", *TINY[:1]], "net.name: got None, wanted a value; for example net=mobilenet_v2"),
    (["transfer", "ticket=my.ticket", "targets=[digits]"], "ticket: got 'my.ticket', wanted a ticket file, or the id"),
    (["transfer", f"ticket={__file__}", "targets=[digits]", "shots=[0]"], "shots: got [0]"),
    (["transfer", f"ticket={__file__}", "targets=[digits]", "shots=[5,5]"], "shots: got [5, 5], wanted each number once"),
    (["transfer", f"ticket={__file__}", "targets=[digits]", "draws=0"], "draws: got 0"),
    (["transfer", f"ticket={__file__}", "targets=[digits]", "draws=3"],
     "draws: got 3, wanted shots beside it, or 1; for example 'shots=[1,5,10]'."),
    (["transfer", f"ticket={__file__}", "targets=[polynomials]", "head=lstsq", "draws=3"],
     "draws: got 3, wanted 1, since the targets are functions."),
    (["transfer", f"ticket={__file__}", "targets=[digits,digits]"], "wanted each value once"),
    (["transfer", f"ticket={__file__}", "targets=[digits,usps]", "save=one.model"], "save: got 'one.model', wanted a folder"),
    (["compare", "sources=[digits]", "targets=[mnist5k]", "arms=[unversal]"], "did you mean universal"),
    (["compare", "sources=[digits]", "targets=[mnist5k]", "arms=[]"], "arms: got"),
    (["compare", "sources=[digits]", "targets=[mnist5k]", "seeds=[]"], "seeds: got []"),
    (["compare", "sources=[digits]", "targets=[mnist5k]", "seeds=[0,0]"], "seeds: got [0, 0]"),
    (["compare", "sources=[digits]", "targets=[mnist5k]", "dense.lrs=[]"], "dense.lrs"),
    (["compare", "sources=[digits]", "targets=[mnist5k]", "dense.schedule=cosin"], "did you mean cosine"),
    (["compare", "sources=[digits]", "targets=[mnist5k]", "arm.dense_long.factor=0"],
     "arm.dense_long.factor: got 0, wanted a whole number at least 1."),
    (["compare", "sources=[digits]", "targets=[mnist5k]", "+arm.dense_long.factr=2"], "did you mean factor?"),
    (["compare", "sources=[digits]", "targets=[mnist5k]", "head.options.lambdas=[0]"], "head.options.lambdas: got 0"),
    (["compare", "sources=[digits]", "targets=[digits]", "arms=[universal]", "logger=none"],
     "wanted at least one beside the target digits"),
    (["search", "-m", "seed=0,1", "trainer=smoke,1e3"], "trainer: got '1e3', wanted one of cpu, ddp, debug, default, gpu, smoke."),
    (["report"], "store: got 'store', which holds no rows"),
    (["report", "store=nowhere"], "store: got 'nowhere', which holds no rows"),
    (["ticket"], "wanted show FILE"),
    (["ticket", "shwo", "x"], "did you mean show"),
    (["ticket", "show"], "wanted one file or one id"),
    (["ticket", "show", "absent.ticket"], "wanted a ticket file, or the id of a ticket in store"),
]  # fmt: skip


def case_id(value: list[str] | str) -> str:
    return value[:40] if isinstance(value, str) else " ".join([value[0], *value[-1:]])[:40]


def left_behind(folder: Path) -> list[str]:
    """Files that a refused command left, beside Hydra's record of the run and (empty) lock files."""
    files = [path for path in folder.rglob("*") if path.is_file() and "runs" not in path.relative_to(folder).parts]
    return [path.name for path in files if path.name != "store.json" and path.suffix != ".lock"]


@pytest.mark.parametrize(("words", "said"), COMPOSING + READING, ids=case_id)
def test_one_sentence(say: Say, tmp_path: Path, words: list[str], said: str) -> None:
    answer = say(*words)
    assert answer.code == 2, answer.err
    assert said in answer.sentence
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("words", [words for words, _ in COMPOSING], ids=case_id)
def test_nothing_is_written_before_the_config_composes(say: Say, tmp_path: Path, words: list[str]) -> None:
    say(*words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("prefix", ["", "+", "++"])
@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("densty", "key: got 'densty', wanted a key of `ult search`; did you mean density or densities?"),
        ("trainer.max_step", "trainer: got 'max_step', wanted one of"),
        ("trainer.devices", "trainer.devices: got 3, wanted 1, since a search runs on one device"),
    ],
)
def test_one_error_has_one_sentence_however_the_key_is_typed(say, prefix, key, sentence):
    answer = say("search", *TINY, f"{prefix}{key}=3")
    assert answer.code == 2
    assert sentence in answer.sentence


def test_helper_keys_of_our_experiments_may_stay_unread_unless_they_are_typed(say):
    words = ["compare", "experiment=mnist_cifar", "sources=[mnist5k]", "targets=[digits]", "dense.lrs=[-1]"]
    answer = say(*words)
    assert answer.sentence.startswith("dense.lrs: got")  # what follows it is the user's mistake, not our key
    answer = say(*words[:-1], "cifar=cifar100")
    assert "key: got 'cifar', wanted a key that `ult compare` has" in answer.sentence


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["+callbacks.mine=3"], "callbacks.mine: got 3, wanted the key _target_"),
        (["+callbacks.mine._target_=nowhere.Thing"], "callbacks.mine: nowhere.Thing cannot be made"),
        (["+callbacks.mine._target_=builtins.dict"], "callbacks.mine: got 'builtins.dict', wanted a callback"),
    ],
)
def test_callbacks_that_are_none(say, words, sentence):
    answer = say("search", *TINY, *words)
    assert answer.code == 2
    assert sentence in answer.sentence


def test_callbacks_and_arguments_of_the_trainer_pass(say, tmp_path):
    answer = say("search", *TINY, "logger=csv", "callbacks=lr_monitor", "+trainer.gradient_clip_val=0.5",
                 "trainer.log_every_n_steps=1", "out=a.ticket")  # fmt: skip
    assert answer.code == 0, answer.err
    assert list(tmp_path.rglob("metrics.csv"))
    assert "lr-SGD" in "".join(file.read_text() for file in tmp_path.rglob("metrics.csv"))


def test_a_gpu_that_is_not_there_is_named_as_it_was_typed(say, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    answer = say("search", *TINY, "trainer=gpu")
    assert answer.code == 2
    assert "trainer.accelerator: got 'gpu', wanted auto or cpu" in answer.sentence


def test_what_a_callback_lacks_is_no_bug_of_ours(say, monkeypatch):
    from pytorch_lightning.callbacks import DeviceStatsMonitor

    def setup(*_: Any, **__: Any) -> None:
        raise ModuleNotFoundError("psutil is not installed.\nHINT: install it")

    monkeypatch.setattr(DeviceStatsMonitor, "setup", setup)
    answer = say("search", *TINY, "logger=csv", "callbacks=[lr_monitor,device_stats]")
    assert answer.code == 2
    assert answer.sentence.endswith("trainer: psutil is not installed. HINT: install it.")
